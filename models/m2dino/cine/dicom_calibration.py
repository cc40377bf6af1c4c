"""Millimetres from a DICOM header, only where nothing in it speaks against them.

Scanners store the scale in ultrasound regions: boxes of the frame, each with its units and pixel size. Programs that
crop, resize or combine frames often leave the old regions behind, so a box that does not fit the image, a unit that is
not the centimetre or two regions at odds with each other mean that the scale is not certain: then there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from m2dino.cine.calibration import Calibration
from m2dino.cine.dicom_header import HEADER_DAMAGE

_TWO_DIMENSIONAL = 1
_TISSUE, _COLOUR_FLOW = 1, 2
_CENTIMETRE = 3
_TOLERANCE = 0.01


class _RefusedError(Exception):
    """The header does not make the scale certain; the message is the reason, as a clause for people."""


@dataclass(frozen=True)
class _Region:
    number: int
    box: tuple[int, int, int, int]
    dy_mm: float
    dx_mm: float


def dicom_calibration(elements: Dataset, height: int, width: int) -> tuple[Calibration | None, str]:
    """Return the calibration of a DICOM image and one sentence on where it comes from, or None and why there is none.

    Parameters
    ----------
    elements : Dataset
    height, width : int
        Size of the frame in pixels.
    """
    try:
        spacing = _pixel_spacing(elements)
        regions = elements.get("SequenceOfUltrasoundRegions") or []
        if len(regions):
            return _from_regions(list(regions), spacing, height, width)
    except _RefusedError as refusal:
        return None, str(refusal)
    except HEADER_DAMAGE:
        return None, "the file's scale is damaged"
    if spacing is None:
        return None, "the file gives no pixel size"
    try:
        return Calibration(*spacing, region=None, source="pixel spacing"), "from the file's pixel spacing"
    except ValueError:
        return None, "the file's pixel spacing is not a plausible pixel size"


def _from_regions(
    items: list[Dataset], spacing: tuple[float, float] | None, height: int, width: int
) -> tuple[Calibration, str]:
    spatial = []
    for number, item in enumerate(items, start=1):
        # Boxes of every kind of region are checked: one outside the image shows that the frame was cropped or resized.
        box = _box(item, number, height, width)
        if _is_tissue(item):
            spatial.append(_scaled(item, number, box))
    if not spatial:
        raise _RefusedError("the file has ultrasound regions, but none is a two-dimensional tissue image")
    first = spatial[0]
    for other in spatial[1:]:
        if not (_close(first.dy_mm, other.dy_mm) and _close(first.dx_mm, other.dx_mm)):
            raise _RefusedError(f"ultrasound regions {first.number} and {other.number} disagree about the pixel size")
    if spacing and not (_close(first.dy_mm, spacing[0]) and _close(first.dx_mm, spacing[1])):
        raise _RefusedError("the ultrasound region and the pixel spacing disagree about the pixel size")
    # Side by side images do not share a plane: the scale is given for the largest, which holds any nested colour box.
    widest = max(spatial, key=lambda region: _area(region.box))
    source = f"ultrasound region {widest.number}"
    return Calibration(widest.dy_mm, widest.dx_mm, widest.box, source), f"from {source} of the file"


def _is_tissue(item: Dataset) -> bool:
    return item.get("RegionSpatialFormat") == _TWO_DIMENSIONAL and item.get("RegionDataType") in (
        _TISSUE,
        _COLOUR_FLOW,
    )


def _box(item: Dataset, number: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return (y_min, x_min, y_max, x_max), end exclusive, of a region that fits the image.

    The standard's last row and column belong to the region; many scanners write the first ones past it. Both fit.
    """
    edges = [item.get(f"RegionLocation{edge}") for edge in ("MinY0", "MinX0", "MaxY1", "MaxX1")]
    if any(edge is None for edge in edges):
        raise _RefusedError(f"ultrasound region {number} does not say where in the frame it lies")
    y_min, x_min, y_max, x_max = (int(edge) for edge in edges)
    if not (0 <= y_min < y_max <= height and 0 <= x_min < x_max <= width):
        raise _RefusedError(
            f"ultrasound region {number} lies outside the image, so its scale may be that of another image size"
        )
    return y_min, x_min, min(y_max + 1, height), min(x_max + 1, width)


def _scaled(item: Dataset, number: int, box: tuple[int, int, int, int]) -> _Region:
    units = (item.get("PhysicalUnitsYDirection"), item.get("PhysicalUnitsXDirection"))
    if units != (_CENTIMETRE, _CENTIMETRE):
        raise _RefusedError(f"the unit of ultrasound region {number} is not the centimetre on both axes")
    delta_y, delta_x = (_number(item.get(f"PhysicalDelta{axis}")) for axis in "YX")
    if not (delta_y > 0 and delta_x > 0):
        raise _RefusedError(f"ultrasound region {number} has no positive pixel size")
    region = _Region(number, box, delta_y * 10, delta_x * 10)
    try:
        Calibration(region.dy_mm, region.dx_mm, box, "")
    except ValueError:
        raise _RefusedError(f"ultrasound region {number} has no plausible pixel size") from None
    return region


def _pixel_spacing(elements: Dataset) -> tuple[float, float] | None:
    """Return (dy, dx) in mm from Pixel Spacing, at top level or shared by all frames; None without one."""
    value: Any = elements.get("PixelSpacing")
    if not value:
        groups = elements.get("SharedFunctionalGroupsSequence")
        measures = groups[0].get("PixelMeasuresSequence") if groups else None
        value = measures[0].get("PixelSpacing") if measures else None
    if not value:
        return None
    numbers = [_number(one) for one in value]
    if len(numbers) != 2 or not all(number > 0 for number in numbers):
        raise _RefusedError("the file's pixel spacing is not a plausible pixel size")
    return numbers[0], numbers[1]


def _number(value: Any) -> float:
    """Return a finite number, or 0 where there is none."""
    number = float(value) if value is not None and value != "" else 0.0
    return number if math.isfinite(number) else 0.0


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_TOLERANCE)


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
