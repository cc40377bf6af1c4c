"""The times of the frames of a DICOM loop and the moments it names, where its header gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from m2dino.cine.dicom_groups import NO_GROUPS, FrameGroups
from m2dino.cine.dicom_header import HEADER_DAMAGE
from m2dino.cine.markers import Marker

_LONGEST_S = 60.0
_EVEN = 0.1
# What Frame of Interest Type or Description may say; free text is never shown, for it may hold a name.
_MOMENTS = {
    "ED": "end-diastole",
    "END DIASTOLE": "end-diastole",
    "END-DIASTOLE": "end-diastole",
    "END_DIASTOLE": "end-diastole",
    "ES": "end-systole",
    "END SYSTOLE": "end-systole",
    "END-SYSTOLE": "end-systole",
    "END_SYSTOLE": "end-systole",
}


@dataclass(frozen=True, eq=False)
class Timing:
    """When the frames of a loop were taken.

    Attributes
    ----------
    step_s : float or None
        Seconds between frames; None where they are not evenly spaced or nothing is known.
    source : str or None
        The element it comes from, for people.
    times_s : ndarray of float64, shape (N,), or None
        Seconds from the first frame to each, only where the steps are uneven.
    """

    step_s: float | None = None
    source: str | None = None
    times_s: NDArray[np.float64] | None = None


def dicom_timing(elements: Dataset, frames: int, groups: FrameGroups = NO_GROUPS) -> Timing:
    """Return the times of a loop of `frames` frames.

    Asked are, in this order, Frame Time, Frame Time Vector, the times in the functional groups, Cine Rate and
    Recommended Display Frame Rate. Where the steps differ by more than a tenth, each frame has its time but no one step
    is true.
    """
    if frames < 2:
        return Timing()
    single = _number(elements, "FrameTime")
    if single is not None:
        return Timing(single / 1000, "frame time")
    steps = np.asarray(_numbers(elements, "FrameTimeVector"))
    if steps.size:
        return _of_steps(steps, frames, "frame time vector")
    if groups.times_s is not None:
        timing = _of_steps(np.diff(groups.times_s) * 1000, frames, groups.time_source)
        if timing.source is not None:
            return timing
    for keyword, source in (("CineRate", "cine rate"), ("RecommendedDisplayFrameRate", "recommended display rate")):
        rate = _number(elements, keyword)
        if rate is not None and 1 / rate <= _LONGEST_S:
            return Timing(1 / rate, source)
    return Timing()


def _of_steps(steps: NDArray[np.float64], frames: int, source: str) -> Timing:
    # The first entry is the start, by the standard 0; some files leave it out.
    between = steps[1:] if len(steps) == frames else steps
    if len(between) != frames - 1 or not np.isfinite(between).all():
        return Timing()
    seconds = between / 1000
    if (seconds <= 0).any() or (seconds > _LONGEST_S).any():
        return Timing()
    mean = float(seconds.mean())
    if np.abs(seconds - mean).max() <= _EVEN * mean:
        return Timing(mean, source)
    times = np.concatenate([[0.0], np.cumsum(seconds)])
    times.setflags(write=False)
    return Timing(None, source, times)


def dicom_markers(elements: Dataset, times_s: NDArray[np.float64] | None, frames: int) -> tuple[Marker, ...]:
    """Return the moments that the header names, in order of frames.

    Parameters
    ----------
    elements : Dataset
    times_s : ndarray of float64, shape (N,), or None
        Seconds from the first frame to each; without them R waves given as times cannot be placed.
    frames : int
        Number of frames; moments outside are left out.
    """
    found = {Marker(int(number) - 1, "R wave") for number in _numbers(elements, "RWavePointer")}
    if times_s is not None:
        half = (times_s[-1] - times_s[0]) / max(len(times_s) - 1, 1) / 2
        for wave in _numbers(elements, "RWaveTimeVector"):
            if math.isfinite(wave) and -half <= wave / 1000 <= times_s[-1] + half:
                found.add(Marker(int(np.abs(times_s - wave / 1000).argmin()), "R wave"))
    numbers = _numbers(elements, "FrameNumbersOfInterest")
    words = [_texts(elements, keyword) for keyword in ("FrameOfInterestType", "FrameOfInterestDescription")]
    for k, number in enumerate(numbers):
        names = [_MOMENTS[texts[k]] for texts in words if len(texts) == len(numbers) and texts[k] in _MOMENTS]
        found.add(Marker(int(number) - 1, names[0] if names else "frame of interest"))
    return tuple(sorted(marker for marker in found if 0 <= marker.frame < frames))


def _texts(elements: Dataset, keyword: str) -> list[str]:
    value: Any = elements.get(keyword)
    many = [value] if isinstance(value, str) else list(value or [])
    return [str(one).strip().upper() for one in many]


def _numbers(elements: Dataset, keyword: str) -> list[float]:
    try:
        value: Any = elements.get(keyword)
        if value is None or value == "":
            return []
        many = [value] if isinstance(value, str | int | float) else list(value)
        numbers = [float(one) for one in many]
    except HEADER_DAMAGE:
        return []
    return numbers


def _number(elements: Dataset, keyword: str) -> float | None:
    values = _numbers(elements, keyword)
    usable = len(values) == 1 and math.isfinite(values[0]) and 0 < values[0] <= _LONGEST_S * 1000
    return values[0] if usable else None
