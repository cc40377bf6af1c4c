"""Which frame of a video is which: from its packets' timestamps, without decoding."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_EVEN = 0.1


@dataclass(frozen=True)
class PacketStamp:
    """What the index needs of one packet: its presentation time in ticks (None where unknown) and whether it can be
    decoded by itself."""

    pts: int | None
    keyframe: bool


class VideoIndex:
    """Frames in display order and the keyframes to start decoding from.

    Parameters
    ----------
    packets : iterable of PacketStamp
        Packets that become a frame, in decoding order.
    countable : bool
        Whether the times can be sought; where not, they are not used.
    """

    def __init__(self, packets: Iterable[PacketStamp], countable: bool = True) -> None:
        stamps = list(packets)
        times = [stamp.pts for stamp in stamps if stamp.pts is not None]
        self.exact = countable and len(times) == len(stamps) and len(set(times)) == len(times)
        """Whether every packet has a time of its own; where not, frames can only be counted from the start."""
        self.times = sorted(times) if self.exact else []
        self._index = {pts: k for k, pts in enumerate(self.times)}
        self._keys = sorted(s.pts for s in stamps if s.keyframe and s.pts is not None) if self.exact else []

    def __len__(self) -> int:
        return len(self.times)

    def frame_at(self, pts: int | None) -> int | None:
        """Return the index of the frame shown at `pts` ticks, or None where there is none."""
        return None if pts is None else self._index.get(pts)

    def keyframes_before(self, frame: int) -> list[int]:
        """Return the times of all keyframes at or before a frame, the nearest first."""
        return self._keys[: bisect_right(self._keys, self.times[frame])][::-1]

    def same_group(self, first: int, second: int) -> bool:
        """Whether decoding on from `first` reaches `second` at least as soon as starting at a keyframe does."""
        return first <= second and self.keyframes_before(first)[:1] == self.keyframes_before(second)[:1]


def even_step(times: list[int], tick: Fraction) -> float | None:
    """Return the seconds between frames, or None where they are not evenly spaced.

    Timestamps of coarse ticks (milliseconds, in Matroska) alternate by one tick: that still counts as even.

    Parameters
    ----------
    times : list of int
        Presentation times in ticks, rising.
    tick : Fraction
        Seconds of one tick.
    """
    if len(times) < 2:
        return None
    steps = np.diff(np.asarray(times, dtype=np.float64))
    usual = float(np.median(steps))
    if np.abs(steps - usual).max() > max(_EVEN * usual, 1.5):
        return None
    return float((times[-1] - times[0]) / (len(times) - 1) * tick)
