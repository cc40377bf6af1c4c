"""Frame by frame with a key, and faster the longer it is held. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable

HELD_S = 0.11
"""Presses nearer to each other than this are one long press: keyboards repeat some thirty times a second, and nobody
taps nine times a second, so that quick tapping passes over no frame."""
GEARS = ((30, 8), (18, 4), (8, 2))
"""(presses, frames a press) from the fastest on."""


class Stepping:
    """Counts presses of the same key, and tells how far the next one goes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last, self._way, self._count = -HELD_S, 0, 0

    def step(self, frame: int, way: int, count: int) -> int:
        """Return the frame to show after `frame`, of a loop of `count`, when the key for `way` (-1 or 1) is pressed."""
        now = self._clock()
        held = way == self._way and now - self._last < HELD_S
        self._count = self._count + 1 if held else 0
        self._last, self._way = now, way
        stride = next((stride for presses, stride in GEARS if self._count >= presses), 1)
        return min(max(frame + way * stride, 0), count - 1)
