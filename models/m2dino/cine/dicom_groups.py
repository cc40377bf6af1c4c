"""What enhanced DICOM files say frame by frame, in their functional groups: the pixel size and the time of each frame.

The times are dates with a time of day. Only the seconds between them are kept; the groups are dropped as soon as they
are read, for they hold dates and texts that nobody here needs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from m2dino.cine.dicom_header import HEADER_DAMAGE

PER_FRAME = "PerFrameFunctionalGroupsSequence"
SHARED = "SharedFunctionalGroupsSequence"
# All that the display and the scale ask for of what frames share.
_KEPT_SHARED = frozenset({"PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence"})
_MOMENT = re.compile(r"(\d{14})(?:\.(\d{1,6}))?([+-]\d{4})?")
_TIMES = (
    ("TemporalPositionSequence", "TemporalPositionTimeOffset", "temporal position"),
    ("FrameContentSequence", "FrameReferenceDateTime", "frame reference time"),
    ("FrameContentSequence", "FrameAcquisitionDateTime", "frame acquisition time"),
)
DATED = frozenset({source for _, keyword, source in _TIMES if keyword.endswith("DateTime")})
"""Sources of times that are dates in the file: a de-identified copy loses the dates."""
Spacing = tuple[float, float]


@dataclass(frozen=True, eq=False)
class FrameGroups:
    """What the functional groups of a file say.

    Attributes
    ----------
    spacings : tuple of (float, float) or None
        The pixel sizes (dy, dx), mm, that frames have, each once; None stands for frames without one. Empty where no
        group gives any.
    times_s : ndarray of float64, shape (N,), or None
        Seconds from the first frame to each, where every frame has a time later than the one before.
    time_source : str
        What the times are, for people; empty without times.
    """

    spacings: tuple[Spacing | None, ...] = ()
    times_s: NDArray[np.float64] | None = None
    time_source: str = ""


NO_GROUPS = FrameGroups()


def take_groups(elements: Dataset, frames: int) -> FrameGroups:
    """Read the functional groups and drop them from `elements`, but for what the display needs.

    Parameters
    ----------
    elements : Dataset
    frames : int
        Number of frames; groups of another number say nothing.
    """
    each: Any = elements.get(PER_FRAME) or []
    shared: Any = elements.get(SHARED) or []
    try:
        common = _spacing(shared[0]) if len(shared) else None
        fitting = list(each) if len(each) == frames else []
        own = [_spacing(group) for group in fitting] or [None]
        all_of = [one if one is not None else common for one in own]
        found = tuple(dict.fromkeys(all_of)) if any(one is not None for one in all_of) else ()
        times, source = _times(fitting) if frames > 1 else (None, "")
        return FrameGroups(found, times, source)
    except HEADER_DAMAGE:
        return FrameGroups()
    finally:
        elements.pop(PER_FRAME, None)
        for item in shared:
            for element in list(item):
                if element.keyword not in _KEPT_SHARED:
                    del item[element.tag]


def _spacing(group: Dataset) -> Spacing | None:
    measures = group.get("PixelMeasuresSequence")
    value: Any = measures[0].get("PixelSpacing") if measures else None
    return spacing_of(value) if value else None


def spacing_of(value: Any) -> Spacing:
    """Return (dy, dx) of a Pixel Spacing; what is no pixel size becomes (0, 0), which is refused with its reason."""
    numbers = [float(one) for one in value]
    return (numbers[0], numbers[1]) if len(numbers) == 2 and all(map(math.isfinite, numbers)) else (0.0, 0.0)


def _times(groups: list[Dataset]) -> tuple[NDArray[np.float64] | None, str]:
    for sequence, keyword, source in _TIMES:
        values = [_first(group, sequence, keyword) for group in groups]
        if not values or any(value is None for value in values):
            continue
        seconds = _seconds(values)
        # Planes of a volume share a time, and then the frames are no series in time.
        if seconds is not None and (np.diff(seconds) > 0).all():
            return seconds - seconds[0], source
    return None, ""


def _first(group: Dataset, sequence: str, keyword: str) -> Any:
    items = group.get(sequence)
    value = items[0].get(keyword) if items else None
    return None if value in (None, "") else value


def _seconds(values: list[Any]) -> NDArray[np.float64] | None:
    if not isinstance(values[0], str):
        numbers = np.asarray([float(value) for value in values])
        return numbers if np.isfinite(numbers).all() else None
    moments = [_moment(str(value)) for value in values]
    first = moments[0]
    if first is None:
        return None
    return np.asarray([math.nan if one is None else (one - first).total_seconds() for one in moments])


def _moment(text: str) -> datetime | None:
    """Return a DICOM date and time, in UTC where it names its zone; None where it has no seconds."""
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        return None
    whole, part, zone = match.groups()
    moment = datetime.strptime(whole, "%Y%m%d%H%M%S") + timedelta(seconds=float(f"0.{part or 0}"))
    if zone:
        minutes = int(zone[1:3]) * 60 + int(zone[3:])
        moment -= timedelta(minutes=minutes if zone[0] == "+" else -minutes)
    return moment
