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

    Beyond the profile, private and unknown attributes, curves, overlays, names of persons and free text that the table
    does not list are removed too: no table can know what people wrote there.

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
    if vr in ("PN", "LT", "ST", "UT", "UC", "UR", "UN") or tag in _ALSO_REMOVED:
        return "X"
    return "U" if vr == "UI" else "K"


# Free text in short strings: Frame of Interest Description.
_ALSO_REMOVED = frozenset({0x00286022})


@cache
def _table() -> dict[int, tuple[Action, frozenset[Retain]]]:
    table = {}
    for line in files("m2dino.deid").joinpath("basic_profile.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            tag, action, keepers, _ = line.split("\t")
            table[int(tag, 16)] = (_CHOSEN[action], frozenset(_LETTERS[one] for one in keepers if one in _LETTERS))
    return table
