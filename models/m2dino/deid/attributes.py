"""Carrying out the profile on the attributes of one data set."""

from __future__ import annotations

import re

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from m2dino.deid.options import DeidOptions
from m2dino.deid.profile import BASIC_PROFILE, CLEAN_PIXEL_DATA, RETAINED, action_on

_WELL_KNOWN = re.compile(r"1\.2\.840\.10008\.[0-9.]+")
# What a code string may be made of (PS3.5 6.2); anything else in one is free text.
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}")
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
# Codes of the standard and of the dictionaries it draws on; a maker's own code, and its meaning, may say anything.
_PUBLIC_SCHEMES = ("DCM", "SCT", "SRT", "SNM3", "LN", "UCUM")
_PUBLIC_CODE = re.compile(r"(?=.*[0-9])[A-Z0-9.-]{1,16}|[a-zA-Z%/\[\]{}0-9.*]{1,4}")
_DUMMY = {
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "AS": "000Y",
    "AE": "REMOVED",
    "CS": "REMOVED",
    "DS": "0",
    "IS": "0",
    "PN": "REMOVED",
    "OB": b"\0\0",
    "OW": b"\0\0",
    "UN": b"\0\0",
}


def deidentify_attributes(data: Dataset, options: DeidOptions) -> None:
    """Remove, empty or replace whatever identifies a person in a data set, in place and in all its sequences."""
    _check_code(data)
    for tag in list(data.keys()):
        element = data[tag]
        action = action_on(int(tag), element.VR, options.retain)
        if action == "X" or (action == "K" and not _is_in_form(element)):
            del data[tag]
        elif action == "Z":
            data[tag] = DataElement(tag, element.VR, Sequence() if element.VR == "SQ" else None)
        elif action == "D":
            data[tag] = DataElement(tag, element.VR, _dummy(element.VR))
        elif action == "U":
            _replace_uids(element, options)
        elif element.VR == "SQ":
            for item in element.value:
                deidentify_attributes(item, options)


def declare(data: Dataset, options: DeidOptions, masked: bool) -> None:
    """Write into a data set that it was de-identified, and how (PS3.15 E.1.1).

    That its pixels are clean is only said where a person chose the box to keep: nobody looked for text inside the
    regions that the file itself names.
    """
    chosen = masked and options.box is not None
    codes = [BASIC_PROFILE, *([CLEAN_PIXEL_DATA] if chosen else []), *(RETAINED[one] for one in sorted(options.retain))]
    data.PatientIdentityRemoved = "YES"
    done = ["m2dino deid, DICOM PS3.15 Annex E", *(meaning for _, meaning in codes)]
    data.DeidentificationMethod = [*done, *(["Pixels outside the part to keep made black"] if masked else [])]
    data.DeidentificationMethodCodeSequence = Sequence([_code(value, meaning) for value, meaning in codes])
    data.LongitudinalTemporalInformationModified = "REMOVED"
    if chosen:
        data.BurnedInAnnotation = "NO"


def _dummy(vr: str) -> object:
    return Sequence() if vr == "SQ" else "2.25.0" if vr == "UI" else _DUMMY.get(vr, "REMOVED")


def _replace_uids(element: DataElement, options: DeidOptions) -> None:
    """Replace every UID that is not one of the standard's own, such as a class or a transfer syntax."""
    if element.VR == "SQ":
        for item in element.value:
            deidentify_attributes(item, options)
        return
    many = [element.value] if isinstance(element.value, str) else list(element.value or [])
    new = [uid if _WELL_KNOWN.fullmatch(str(uid)) else options.new_uid(str(uid)) for uid in many if str(uid)]
    element.value = new[0] if len(new) == 1 else new


def _is_in_form(element: DataElement) -> bool:
    """Whether a code string is one, and no sentence in disguise; other kinds hold numbers, or were checked before."""
    if element.VR != "CS":
        return True
    values = [element.value] if isinstance(element.value, str) else list(element.value or [])
    return all(_CODE_STRING.fullmatch(str(value)) for value in values)


def _check_code(data: Dataset) -> None:
    """Keep a public code, with its value as its meaning, for a meaning is free text; remove any other."""
    value, scheme = str(data.get("CodeValue") or ""), str(data.get("CodingSchemeDesignator") or "")
    if scheme in _PUBLIC_SCHEMES and _PUBLIC_CODE.fullmatch(value):
        data.CodingSchemeDesignator, data.CodeMeaning = scheme, value
        return
    for keyword in _CODE:
        data.pop(keyword, None)


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
