"""The time from one frame of a DICOM loop to the next, where its header gives one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from m2dino.cine.dicom_header import HEADER_DAMAGE

_LONGEST_S = 60.0
_EVEN = 0.1


def frame_time(elements: Dataset, frames: int) -> tuple[float, str] | tuple[None, None]:
    """Return (seconds, source) of a loop, or (None, None) where the header gives no one time for all its frames.

    Asked are, in this order, Frame Time, Frame Time Vector, Cine Rate and Recommended Display Frame Rate. A vector
    whose steps differ by more than a tenth gives none, for no one number would be true.
    """
    if frames < 2:
        return None, None
    single = _number(elements, "FrameTime")
    if single is not None:
        return single / 1000, "frame time"
    steps = _numbers(elements, "FrameTimeVector")
    if steps:
        # The first entry is the start, by the standard 0.
        between = np.asarray(steps[1:] if len(steps) == frames else steps)
        mean = float(between.mean()) if between.size else 0.0
        if not (0 < mean / 1000 <= _LONGEST_S) or np.abs(between - mean).max() > _EVEN * mean:
            return None, None
        return mean / 1000, "frame time vector"
    for keyword, source in (("CineRate", "cine rate"), ("RecommendedDisplayFrameRate", "recommended display rate")):
        rate = _number(elements, keyword)
        if rate is not None and 1 / rate <= _LONGEST_S:
            return 1 / rate, source
    return None, None


def _numbers(elements: Dataset, keyword: str) -> list[float]:
    try:
        value: Any = elements.get(keyword)
        if value is None or value == "":
            return []
        many = [value] if isinstance(value, str | int | float) else list(value)
        return [float(one) for one in many]
    except HEADER_DAMAGE:
        return []


def _number(elements: Dataset, keyword: str) -> float | None:
    values = _numbers(elements, keyword)
    usable = len(values) == 1 and math.isfinite(values[0]) and 0 < values[0] <= _LONGEST_S * 1000
    return values[0] if usable else None
