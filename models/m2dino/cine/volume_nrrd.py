"""The header of NRRD (.nrrd, .nhdr): lines of `field: value`, ended by an empty one."""

from __future__ import annotations

import math
import re
from pathlib import Path

from m2dino.cine.volume_header import PixelLayout, VolumeHeader, axis_spacings, beside, damaged, floats, header_lines

_AXES = "xyzt"
_MM = {"mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001}
_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 0.001, "us": 1e-6}
_PLAIN_KINDS = ("domain", "space", "time", "list", "none", "???")
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    "float": "f4",
    "double": "f8",
}
_TIME_KINDS = ("time", "list")
_COLOUR_KINDS = ("RGB-color", "RGBA-color", "3-color", "4-color", "vector", "3-vector")


def nrrd_header(path: Path) -> VolumeHeader:
    """Read the header of an NRRD file.

    Its spacing is in millimetres where `space units` or `units` say so, or where `space` is one of the anatomical
    spaces, which programs write in millimetres.

    Raises
    ------
    UnsupportedLoopError
        It is damaged, or names pixels that are not in one file beside it.
    """
    fields: dict[str, str] = {}
    behind = -1
    for number, (line, offset) in enumerate(header_lines(path)):
        if number == 0:
            if not line.startswith("NRRD"):
                raise damaged(path)
            continue
        if not line:
            behind = offset
            break
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields[key.strip().lower()] = value.lstrip("=").strip()
    named = fields.get("data file") or fields.get("datafile")
    if behind < 0 and not named:
        raise damaged(path)
    kinds = fields.get("kinds", "").split()
    # A colour axis comes first and is no axis of the picture.
    skip = 1 if kinds and kinds[0] in _COLOUR_KINDS else 0
    timed = [axis for axis, kind in zip(_AXES, kinds[skip:], strict=False) if kind in _TIME_KINDS]
    spacing, steps, reason = _spacing(fields, skip)
    axis = timed[0] if len(timed) == 1 else None
    return VolumeHeader(
        "NRRD",
        beside(path, named) if named else path,
        0 if named else behind,
        fields.get("encoding", "raw").lower() != "raw",
        axis,
        spacing,
        reason,
        step_s=steps.get(axis) if axis else None,
        layout=_layout(fields, kinds, skip),
    )


def _layout(fields: dict[str, str], kinds: list[str], skip: int) -> PixelLayout | None:
    """Return how the pixels lie; text, skipped bytes and colours plane by plane are left to SimpleITK."""
    sizes = [int(size) for size in floats(fields.get("sizes", "")) if math.isfinite(size)]
    kind = _TYPES.get(fields.get("type", "").lower(), "")
    plain = all(one in _PLAIN_KINDS for one in kinds[skip:]) and len(kinds) in (0, len(sizes))
    skipped = any(fields.get(key, "0") != "0" for key in ("line skip", "lineskip", "byte skip", "byteskip"))
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "" if kind[1:] != "1" else "little").lower())
    if not (kind and plain and order) or skipped or fields.get("encoding", "raw").lower() not in ("raw", "gzip", "gz"):
        return None
    return PixelLayout(order, kind, tuple(sizes[skip:]), sizes[0] if skip and sizes else 1)


def _spacing(fields: dict[str, str], skip: int) -> tuple[dict[str, float], dict[str, float], str]:
    """Return the spacing of axes in mm, of axes in seconds, and where it comes from or why there is none."""
    per_axis = floats(fields.get("spacings", ""))[skip:]
    units = re.findall(r'"([^"]*)"', fields.get("units", ""))[skip:]
    sizes = dict(zip(_AXES, per_axis, strict=False))
    mm = {axis: _MM[unit] for axis, unit in zip(_AXES, units, strict=False) if unit in _MM}
    seconds = {axis: _SECONDS[unit] for axis, unit in zip(_AXES, units, strict=False) if unit in _SECONDS}
    steps = axis_spacings(_AXES, {axis: sizes[axis] * factor for axis, factor in seconds.items() if axis in sizes})
    directions = re.findall(r"none|\(([^)]*)\)", fields.get("space directions", ""))[skip:]
    for axis, direction in zip(_AXES, directions, strict=False):
        if direction:
            sizes[axis] = math.sqrt(sum(part * part for part in floats(direction)))
    space_units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if len(set(space_units)) == 1 and space_units[0] in _MM:
        mm.update(dict.fromkeys(sizes, _MM[space_units[0]]))
        reason = "from the volume's spacing with its unit"
    elif "-" in fields.get("space", "") and not space_units and directions:
        mm.update({axis: 1.0 for axis, direction in zip(_AXES, directions, strict=False) if direction})
        reason = "from the volume's spacing in its anatomical space (mm)"
    else:
        reason = "from the volume's spacing with its unit" if mm else "the volume's spacing has no unit"
    spacing = axis_spacings(_AXES, {axis: sizes[axis] * factor for axis, factor in mm.items() if axis in sizes})
    if spacing and set(spacing.values()) == {1.0} and not space_units and not units:
        return {}, steps, "the volume's spacing is 1, which programs write that know none"
    return spacing, steps, reason if spacing or not sizes else "the volume's spacing has no unit"
