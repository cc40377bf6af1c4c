"""The transfer syntaxes of DICOM whose pixel data is one video stream."""

from __future__ import annotations

_NAMES = {
    "100": "MPEG2 Main Profile",
    "101": "MPEG2 Main Profile at High Level",
    "102": "MPEG-4 AVC",
    "103": "MPEG-4 AVC",
    "104": "MPEG-4 AVC",
    "105": "MPEG-4 AVC",
    "106": "MPEG-4 AVC Stereo",
    "107": "HEVC Main Profile",
    "108": "HEVC Main 10 Profile",
}
VIDEO_SYNTAXES = {
    f"1.2.840.10008.1.2.4.{number}{fragmentable}": name
    for number, name in _NAMES.items()
    for fragmentable in (("",) if number in ("107", "108") else ("", ".1"))
}
"""Transfer syntax UID to its name for people; those that end in .1 may spread the stream over several fragments."""
