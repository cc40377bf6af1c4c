"""The ultrasound regions that a DICOM header describes, each judged by itself."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset

from m2dino.cine.calibration import Calibration
from m2dino.cine.dicom_header import HEADER_DAMAGE
from m2dino.cine.regions import Region, RegionKind

# Region Spatial Format (0018,6012) and Region Data Type (0018,6014), PS3.3 C.8.5.5.
_TWO_DIMENSIONAL = 1
_KIND_BY_FORMAT: dict[int, RegionKind] = {2: "M-mode", 3: "spectrum", 4: "waveform", 5: "graphics"}
_KIND_BY_DATA: dict[int, RegionKind] = {1: "tissue", 2: "colour flow"}
_CENTIMETRE = 3


class OutsideError(Exception):
    """A region's box does not fit the frame; the message is the reason, as a clause for people."""


def dicom_regions(elements: Dataset, height: int, width: int) -> tuple[Region, ...]:
    """Return the ultrasound regions of a frame, in the order of the file.

    Parameters
    ----------
    elements : Dataset
    height, width : int
        Size of the frame in pixels.

    Raises
    ------
    OutsideError
        A box, of whatever kind of region, does not fit the frame: it was cropped or resized, so none can be trusted.
    """
    items = list(elements.get("SequenceOfUltrasoundRegions") or [])
    return tuple(_region(item, number, height, width) for number, item in enumerate(items, start=1))


def _region(item: Dataset, number: int, height: int, width: int) -> Region:
    box = _box(item, number, height, width)
    kind = _kind(item)
    if kind not in ("tissue", "colour flow"):
        return Region(box, kind, None, f"ultrasound region {number} is no two-dimensional tissue image")
    calibration, reason = _scale(item, number, box)
    return Region(box, kind, calibration, reason)


def _kind(item: Dataset) -> RegionKind:
    form, data = item.get("RegionSpatialFormat"), item.get("RegionDataType")
    if form == _TWO_DIMENSIONAL:
        return _KIND_BY_DATA.get(data, "other") if isinstance(data, int) else "other"
    return _KIND_BY_FORMAT.get(form, "other") if isinstance(form, int) else "other"


def _box(item: Dataset, number: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return (y_min, x_min, y_max, x_max), end exclusive, of a region that fits the image.

    The standard's last row and column belong to the region; many scanners write the first ones past it. Both fit.
    """
    try:
        edges = [item.get(f"RegionLocation{edge}") for edge in ("MinY0", "MinX0", "MaxY1", "MaxX1")]
        if any(edge is None for edge in edges):
            raise OutsideError(f"ultrasound region {number} does not say where in the frame it lies")
        y_min, x_min, y_max, x_max = (int(edge) for edge in edges)
    except HEADER_DAMAGE:
        raise OutsideError(f"ultrasound region {number} is damaged") from None
    if not (0 <= y_min < y_max <= height and 0 <= x_min < x_max <= width):
        raise OutsideError(
            f"ultrasound region {number} lies outside the image, so its scale may be that of another image size"
        )
    return y_min, x_min, min(y_max + 1, height), min(x_max + 1, width)


def _scale(item: Dataset, number: int, box: tuple[int, int, int, int]) -> tuple[Calibration | None, str]:
    """Return the scale of a two-dimensional region, or None and why.

    A negative delta says that the axis runs against the pixels (PS3.3 C.8.5.5.1.15): the pixel is as large as ever.
    """
    units = (item.get("PhysicalUnitsYDirection"), item.get("PhysicalUnitsXDirection"))
    if units != (_CENTIMETRE, _CENTIMETRE):
        return None, f"the unit of ultrasound region {number} is not the centimetre on both axes"
    try:
        delta_y, delta_x = (abs(_number(item.get(f"PhysicalDelta{axis}"))) for axis in "YX")
    except HEADER_DAMAGE:
        delta_y = delta_x = 0.0
    if not (delta_y > 0 and delta_x > 0):
        return None, f"ultrasound region {number} has no positive pixel size"
    source = f"ultrasound region {number}"
    try:
        return Calibration(delta_y * 10, delta_x * 10, box, source), f"from {source} of the file"
    except ValueError:
        return None, f"ultrasound region {number} has no plausible pixel size"


def _number(value: Any) -> float:
    """Return a finite number, or 0 where there is none."""
    number = float(value) if value is not None and value != "" else 0.0
    return number if math.isfinite(number) else 0.0
