"""What is told of a loop, in words: its size, its time, its scale, its moments. No Qt, no napari."""

from __future__ import annotations

from m2dino.cine.loop import CineLoop
from m2dino.cine.manual_calibration import SOURCE
from m2dino.cine.regions import Region

_IMAGES = {"tissue": "B-mode image", "colour flow": "colour image"}


def size_words(loop: CineLoop) -> str:
    """Return number and size of the frames, and how they are stored."""
    frames = "1 frame" if len(loop) == 1 else f"{len(loop)} frames"
    return f"{frames} · {loop.width} × {loop.height} px · {loop.codec}"


def time_words(loop: CineLoop) -> str:
    """Return how far the frames lie apart and where that comes from; empty for a single frame."""
    if len(loop) < 2:
        return ""
    rate = frame_rate(loop)
    if rate is None:
        return "The file gives no frame time."
    source = f"from its {loop.frame_time_source}" if loop.frame_time_source else "source unknown"
    if loop.frame_time_s is None:
        return f"Uneven times, {_milliseconds(1 / rate)} on average ({rate:.0f} fps), {source}"
    return f"{_milliseconds(1 / rate)} a frame ({rate:.0f} fps), {source}"


def frame_rate(loop: CineLoop) -> float | None:
    """Return the frames a second, on average where they are not evenly spaced; None where nothing is known."""
    times = loop.frame_times_s
    if times is None or len(times) < 2 or not times[-1] > times[0]:
        return None
    return float((len(times) - 1) / (times[-1] - times[0]))


def frame_words(loop: CineLoop, frame: int) -> str:
    """Return which frame it is, counted from 0 as on napari's slider, and its time since the first."""
    place = f"frame {frame} / {len(loop) - 1}"
    times = loop.frame_times_s
    return place if times is None else f"{place} · {times[frame] * 1000:.0f} ms"


def scale_words(loop: CineLoop) -> str:
    """Return the millimetres of a pixel and where they come from, or why there are none."""
    scale = loop.calibration
    if scale is None:
        reason = loop.calibration_reason
        return f"No scale: {reason}. Lengths are in pixels."
    return f"{millimetres_words(scale.dy_mm, scale.dx_mm)}, {_origin(loop)}"


def millimetres_words(dy_mm: float, dx_mm: float) -> str:
    """Return a pixel's size: one figure for square pixels, else height × width."""
    height, width = f"{dy_mm:.3g}", f"{dx_mm:.3g}"
    return f"{height} mm per pixel" if height == width else f"{height} × {width} mm per pixel (height × width)"


def is_by_hand(loop: CineLoop) -> bool:
    """Whether the scale is a person's."""
    return loop.calibration is not None and loop.calibration.source == SOURCE


def _origin(loop: CineLoop) -> str:
    if is_by_hand(loop):
        return "set by hand"
    region = next((one for one in loop.regions if one.calibration == loop.calibration), None)
    if region is None:
        reason = loop.calibration_reason
        return reason if reason.startswith("from") else f"from {reason}"
    image = _image_words(region)
    return f"from the DICOM region of the {image}"


def _image_words(region: Region) -> str:
    return _IMAGES.get(region.kind, region.kind)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
