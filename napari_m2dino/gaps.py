"""Which frames a label can be carried to, and which pairs of decided frames have others between. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from napari_m2dino.session import FrameState

_KEYS = (FrameState.ACCEPTED, FrameState.EDITED, FrameState.CHANGED)
"""States in which a person's own label stands on the frame."""


def neighbours(start: int, states: Sequence[FrameState], reach: int) -> tuple[range, range]:
    """Return the frames after and before `start`, nearest first, that are to be carried to.

    They end before a frame on which a person's own label stands: beyond it, that one is the better start. A rejected
    frame is passed over.

    Parameters
    ----------
    start : int
    states : sequence of FrameState
        One a frame.
    reach : int
        How many frames at most on either side.
    """
    own = [frame for frame, state in enumerate(states) if state in _KEYS]
    end = min([frame for frame in own if frame > start] + [len(states), start + reach + 1])
    first = max([frame for frame in own if frame < start] + [-1, start - reach - 1])
    return range(start + 1, end), range(start - 1, first, -1)


def gaps_at(frame: int | None, states: Sequence[FrameState]) -> list[tuple[int, int]]:
    """Return pairs of frames with a person's own label and others between: around a frame, or (None) all there are.

    Where the frame itself has the label, the gap is the one before it, for a person comes from there, or else the one
    after it.
    """
    own = [one for one, state in enumerate(states) if state in _KEYS]
    gaps = [(start, end) for start, end in pairwise(own) if end - start > 1]
    if frame is None:
        return gaps
    inside = [gap for gap in gaps if gap[0] < frame <= gap[1]]
    return inside or [gap for gap in gaps if gap[0] == frame]
