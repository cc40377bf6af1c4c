"""The Basic Application Level Confidentiality Profile of DICOM PS3.15 as a table: what happens to each attribute."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

from m2dino.deid.options import Retain

Action = Literal["X", "Z", "D", "U", "K"]
"""Remove, make empty, replace by a dummy value, replace the UID, keep."""

# Where the standard leaves a choice that hangs on the type of an attribute, the one that is right for every type.
_CHOSEN: dict[str, Action] = {
    "X": "X",
    "Z": "Z",
    "D": "D",
    "U": "U",
    "X/Z": "Z",
    "X/D": "D",
    "Z/D": "D",
    "X/Z/D": "D",
    "X/Z/U*": "U",
}
_LETTERS: dict[str, Retain] = {"D": "device", "P": "patient", "I": "institution"}

# Code of Context Group 7050 (De-identification Method), with its meaning.
BASIC_PROFILE = ("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")
RETAINED: dict[Retain, tuple[str, str]] = {
    "patient": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "institution": ("113112", "Retain Institution Identity Option"),
}


def action_on(tag: int, vr: str, retain: frozenset[Retain]) -> Action:
    """Return what to do with an attribute of a data set, at whatever depth.

    Beyond the profile, everything that the table does not list and that can hold words, dates or unknown bytes is
    removed: no table can know what people wrote there. Numbers, codes, UIDs and palettes stay.

    Parameters
    ----------
    tag : int
    vr : str
    retain : frozenset of str
    """
    group = tag >> 16
    if group % 2 or 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF or not tag & 0xFFFF:
        return "X"
    listed = _table().get(tag)
    if listed is not None:
        action, keepers = listed
        return "K" if keepers & retain else action
    if tag in _OF_THE_DEVICE:
        return "K" if "device" in retain else _OF_THE_DEVICE[tag]
    if tag in _KEPT:
        return "K"
    return "U" if vr == "UI" else "K" if vr in _NO_WORDS else "X"


# Value representations that hold numbers, codes and other elements, but no words, dates or unknown bytes.
_NO_WORDS = frozenset({"CS", "DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "SQ"})
# Manufacturer (which must be there, if empty), Manufacturer's Model Name, Software Versions, Transducer Data.
_OF_THE_DEVICE: dict[int, Action] = {0x00080070: "Z", 0x00081090: "X", 0x00181020: "X", 0x00185010: "X"}
# Code Value, Coding Scheme Designator and Code Meaning, whose contents are checked; LUT Data; palettes.
_KEPT = frozenset(
    {0x00080100, 0x00080102, 0x00080104, 0x00283006, *range(0x00281201, 0x00281204), *range(0x00281221, 0x00281224)}
)


@cache
def _table() -> dict[int, tuple[Action, frozenset[Retain]]]:
    table = {}
    for line in files("m2dino.deid").joinpath("basic_profile.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            tag, action, keepers, _ = line.split("\t")
            table[int(tag, 16)] = (_CHOSEN[action], frozenset(_LETTERS[one] for one in keepers if one in _LETTERS))
    return table
