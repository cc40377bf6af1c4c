"""What a DICOM header says of a loop besides its pixels: time, scale and moments."""

from __future__ import annotations

from m2dino.cine.dicom_calibration import dicom_pixel_aspect, dicom_scale
from m2dino.cine.dicom_groups import take_groups
from m2dino.cine.dicom_header import Header
from m2dino.cine.dicom_timing import dicom_markers, dicom_timing
from m2dino.cine.loop import CineLoop


def describe(loop: CineLoop, header: Header) -> None:
    """Give a loop its name, its times, its scale, its regions and its markers, as far as the header has them.

    What the loop already knows of its times and of the shape of its pixels, from a video stream in the file, stays
    where the header is silent.
    """
    elements = header.elements
    loop.name = f"dicom {loop.identity[:8]}"
    groups = take_groups(elements, len(loop))
    timing = dicom_timing(elements, len(loop), groups)
    if timing.source is not None:
        loop.set_times(timing.step_s, timing.source, timing.times_s)
    scale = dicom_scale(elements, loop.height, loop.width, groups)
    loop.calibration, loop.calibration_reason, loop.regions = scale.calibration, scale.reason, scale.regions
    loop.pixel_aspect = dicom_pixel_aspect(elements) or loop.pixel_aspect
    loop.markers = dicom_markers(elements, loop.frame_times_s, len(loop))
    # Free text: only the moments that were recognised in it are kept.
    elements.pop("FrameOfInterestDescription", None)
