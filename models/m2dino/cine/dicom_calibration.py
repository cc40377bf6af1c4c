"""Millimetres from a DICOM header, only where nothing in it speaks against them.

Scanners store the scale in ultrasound regions: boxes of the frame, each with its units and pixel size. Programs that
crop, resize or combine frames often leave the old regions behind, so a box that does not fit the image, a unit that is
not the centimetre or two regions at odds with each other mean that the scale is not certain: then there is none. A
pixel spacing that is damaged or at odds takes the scale from the regions, but not the regions: where the image lies is
known all the same, and copies without text and crops need that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from m2dino.cine.calibration import Calibration, aspect_of
from m2dino.cine.dicom_groups import NO_GROUPS, FrameGroups, Spacing, spacing_of
from m2dino.cine.dicom_header import HEADER_DAMAGE
from m2dino.cine.dicom_regions import OutsideError, dicom_regions
from m2dino.cine.regions import Region

_ALIKE = 0.01
_IMPLAUSIBLE = "the file's pixel spacing is not a plausible pixel size"


@dataclass(frozen=True)
class DicomScale:
    """What a DICOM header says of millimetres.

    Attributes
    ----------
    calibration : Calibration or None
        The scale of the frame's main image.
    reason : str
        Where it comes from, or why there is none.
    regions : tuple of Region
        Empty where the file has none, or where one is damaged or lies outside the frame.
    """

    calibration: Calibration | None
    reason: str
    regions: tuple[Region, ...] = ()


class _UncertainError(Exception):
    """The header gives pixel sizes that contradict each other; the text is the reason."""


def dicom_scale(elements: Dataset, height: int, width: int, groups: FrameGroups = NO_GROUPS) -> DicomScale:
    """Return the regions and the calibration of a DICOM image, or the reason for having none.

    Parameters
    ----------
    elements : Dataset
    height, width : int
        Size of the frame in pixels.
    groups : FrameGroups, optional
        What the file says frame by frame.
    """
    try:
        regions = dicom_regions(elements, height, width)
    except OutsideError as outside:
        return DicomScale(None, str(outside))
    except HEADER_DAMAGE:
        return DicomScale(None, "the file's ultrasound regions are damaged")
    try:
        spacing = _pixel_spacing(elements, groups)
    except _UncertainError as uncertain:
        return _without_scale(regions, str(uncertain))
    except HEADER_DAMAGE:
        return _without_scale(regions, "the file's pixel spacing is damaged")
    if regions:
        return _of_regions(regions, spacing)
    if spacing is not None:
        return DicomScale(*_of_spacing(spacing))
    for keyword, what in (
        ("ImagerPixelSpacing", "the pixel spacing of its detector, which is not the size in the body"),
        (
            "NominalScannedPixelSpacing",
            "the pixel spacing of a scanned film or page, which is not the size in the body",
        ),
    ):
        if elements.get(keyword):
            return DicomScale(None, f"the file gives only {what}")
    return DicomScale(None, "the file gives no pixel size")


def dicom_pixel_aspect(elements: Dataset) -> float | None:
    """Return the width of a pixel over its height from Pixel Aspect Ratio; None without one that makes sense."""
    try:
        height, width = (float(part) for part in elements.PixelAspectRatio)
    except HEADER_DAMAGE:
        return None
    return aspect_of(width, height)


def _of_regions(regions: tuple[Region, ...], spacing: tuple[float, float] | None) -> DicomScale:
    spatial = [(number, region) for number, region in enumerate(regions, start=1) if region.spatial]
    if not spatial:
        return DicomScale(None, "the file has ultrasound regions, but none is a two-dimensional tissue image", regions)
    for _, region in spatial:
        if region.calibration is None:
            return DicomScale(None, region.reason, regions)
    first_number, first = spatial[0]
    for number, other in spatial[1:]:
        assert first.calibration is not None
        assert other.calibration is not None
        if not first.calibration.agrees_with(other.calibration):
            reason = f"ultrasound regions {first_number} and {number} disagree about the pixel size"
            return DicomScale(None, reason, regions)
    # Side by side images do not share a plane: the scale is given for the largest, which holds any nested colour box.
    _, widest = max(spatial, key=lambda pair: pair[1].area)
    if spacing is not None:
        stated, _ = _of_spacing(spacing)
        assert widest.calibration is not None
        if stated is None or not stated.agrees_with(widest.calibration):
            # Which of the two is right cannot be told, so no region keeps its scale.
            return _without_scale(regions, "the ultrasound region and the pixel spacing disagree about the pixel size")
    return DicomScale(widest.calibration, widest.reason, regions)


def _without_scale(regions: tuple[Region, ...], reason: str) -> DicomScale:
    """Return the regions, which still say where the image lies, each without a scale and why."""
    return DicomScale(None, reason, tuple(Region(region.box, region.kind, None, reason) for region in regions))


def _of_spacing(spacing: tuple[float, float]) -> tuple[Calibration | None, str]:
    try:
        return Calibration(*spacing, region=None, source="pixel spacing"), "from the file's pixel spacing"
    except ValueError:
        return None, _IMPLAUSIBLE


def _pixel_spacing(elements: Dataset, groups: FrameGroups) -> Spacing | None:
    """Return (dy, dx) in mm from Pixel Spacing, at top level or in the functional groups; None without one.

    Raises
    ------
    _UncertainError
        Frames differ, or the two places do.
    """
    if len(groups.spacings) > 1:
        some = " or have none" if None in groups.spacings else ""
        raise _UncertainError(f"the frames of the file differ in their pixel spacing{some}")
    value: Any = elements.get("PixelSpacing")
    top = spacing_of(value) if value else None
    each = groups.spacings[0] if groups.spacings else None
    if top is not None and each is not None and not np.allclose(top, each, rtol=_ALIKE, atol=0):
        raise _UncertainError("the pixel spacing of the file and that of its frames disagree")
    return top if top is not None else each
