"""Carrying out the profile on the attributes of one data set."""

from __future__ import annotations

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from m2dino.deid.options import DeidOptions
from m2dino.deid.profile import BASIC_PROFILE, CLEAN_PIXEL_DATA, RETAINED, action_on

_WELL_KNOWN = "1.2.840.10008."
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
    for tag in list(data.keys()):
        element = data[tag]
        action = action_on(int(tag), element.VR, options.retain)
        if action == "X":
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
    """Write into a data set that it was de-identified, and how (PS3.15 E.1.1)."""
    codes = [BASIC_PROFILE, *([CLEAN_PIXEL_DATA] if masked else []), *(RETAINED[one] for one in sorted(options.retain))]
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = ["m2dino deid, DICOM PS3.15 Annex E", *(meaning for _, meaning in codes)]
    data.DeidentificationMethodCodeSequence = Sequence([_code(value, meaning) for value, meaning in codes])
    data.LongitudinalTemporalInformationModified = "REMOVED"
    if masked:
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
    new = [uid if str(uid).startswith(_WELL_KNOWN) else options.new_uid(str(uid)) for uid in many if str(uid)]
    element.value = new[0] if len(new) == 1 else new


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
