"""The header of MetaImage (.mha, .mhd): lines of `key = value`, the data file last."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.volume_header import PixelLayout, VolumeHeader, axis_spacings, beside, damaged, floats, header_lines

_AXES = "xyzt"
_TRUE = ("true", "1", "yes")
_STAMP = re.compile(r"Seq_Frame(\d+)_Timestamp")


def metaimage_header(path: Path) -> VolumeHeader:
    """Read the header of a MetaImage file.

    Its spacing is in millimetres by the format's definition; a spacing of exactly 1 is what programs write that know
    none. Tracked ultrasound sequences say which axis is a list of frames, and give each frame's time.

    Raises
    ------
    UnsupportedLoopError
        It is damaged, or names pixels that are not in one file beside it.
    """
    fields: dict[str, str] = {}
    stamps: dict[int, float] = {}
    behind = -1
    for line, offset in header_lines(path):
        key, equals, value = line.partition("=")
        if not equals:
            raise damaged(path)
        key, value = key.strip(), value.strip()
        stamp = _STAMP.fullmatch(key)
        if stamp:
            stamps[int(stamp[1])] = next(iter(floats(value)), float("nan"))
        else:
            fields[key] = value
        if key == "ElementDataFile":
            behind = offset
            break
    if behind < 0:
        raise damaged(path)
    local = fields["ElementDataFile"].upper() == "LOCAL"
    data = path if local else beside(path, fields["ElementDataFile"])
    kinds = fields.get("Kinds", "").split()
    listed = [axis for axis, kind in zip(_AXES, kinds, strict=False) if kind in ("list", "time")]
    sizes = [int(size) for size in floats(fields.get("DimSize", "")) if np.isfinite(size)]
    axis = listed[0] if len(listed) == 1 else _AXES[len(sizes) - 1] if stamps and 3 <= len(sizes) <= 4 else None
    count = sizes[_AXES.index(axis)] if axis and _AXES.index(axis) < len(sizes) else 0
    spacing, reason = _spacing(fields)
    return VolumeHeader(
        "MetaImage",
        data,
        behind if local else 0,
        fields.get("CompressedData", "").lower() in _TRUE,
        axis,
        spacing,
        reason,
        times_s=_times(stamps, count),
        layout=_layout(fields),
    )


def _layout(fields: dict[str, str]) -> PixelLayout | None:
    """Return how the pixels lie; text, and data behind another program's header, are left to SimpleITK."""
    if fields.get("BinaryData", "").lower() not in _TRUE or "HeaderSize" in fields:
        return None
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "")).lower() in _TRUE
    return PixelLayout(">" if big else "<")


def _spacing(fields: dict[str, str]) -> tuple[dict[str, float], str]:
    text = fields.get("ElementSpacing", "")
    numbers = floats(text)
    if not numbers:
        return {}, "the volume gives no spacing"
    if set(numbers) == {1.0}:
        return {}, "the volume's spacing is 1, which programs write that know none"
    return axis_spacings(_AXES, dict(zip(_AXES, numbers, strict=False))), "from the volume's spacing in mm"


def _times(stamps: dict[int, float], count: int) -> NDArray[np.float64] | None:
    """Return the seconds from the first frame, or None where they are not complete and rising."""
    if count < 2 or set(stamps) != set(range(count)):
        return None
    times = np.array([stamps[k] for k in range(count)])
    return times - times[0] if np.isfinite(times).all() and (np.diff(times) > 0).all() else None
