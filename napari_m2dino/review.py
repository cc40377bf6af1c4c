"""In which order frames are looked at, and how far the review is. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from napari_m2dino.session import FrameState

ORDERS = {
    "unsure first": "confidence",
    "in order": "index",
    "jumps first": "jump",
    "experts divided": "entropy",
    "most different": "diversity",
    "random": "random",
}


@dataclass(frozen=True)
class Tally:
    """How many frames are in which state."""

    accepted: int
    edited: int
    rejected: int
    changed: int
    proposed: int
    blank: int

    @property
    def to_go(self) -> int:
        """Frames with a prediction or a change that nobody has decided on."""
        return self.proposed + self.changed

    def sentence(self) -> str:
        """Return the tally in words, what is to be done first, without the parts that are zero."""
        parts = [
            (self.proposed, "to review"),
            (self.changed, "changed, not accepted"),
            (self.accepted, "accepted"),
            (self.edited, "edited"),
            (self.rejected, "rejected"),
        ]
        return " · ".join(f"{number} {word}" for number, word in parts if number) or "nothing predicted or drawn yet"


def tally(states: Sequence[FrameState]) -> Tally:
    """Count the frames of each state."""
    count = Counter(states)
    return Tally(
        accepted=count[FrameState.ACCEPTED],
        edited=count[FrameState.EDITED],
        rejected=count[FrameState.REJECTED],
        changed=count[FrameState.CHANGED],
        proposed=count[FrameState.PROPOSED],
        blank=count[FrameState.BLANK],
    )


def queue(states: Sequence[FrameState], confidences: Sequence[float | None], order: str) -> list[int]:
    """Return the frames that wait for a decision, in the order to look at them.

    Parameters
    ----------
    states : sequence of FrameState
        One a frame.
    confidences : sequence of float or None
        One a frame, in [0, 1]; for orders other than "confidence" any number that puts frames in order, at most 1.
    order : str
        "index", or another of `ORDERS`: the lowest number first, ties by index, frames without one last.
    """
    waiting = [i for i, state in enumerate(states) if state in (FrameState.PROPOSED, FrameState.CHANGED)]
    if order == "index":
        return waiting
    if order not in ORDERS.values():
        raise ValueError(f"order {order!r} is not one of {sorted(ORDERS.values())}")
    certain = [1.0 if c is None else c for c in confidences]
    return sorted(waiting, key=lambda i: (certain[i], i))


def next_frame(
    current: int, states: Sequence[FrameState], confidences: Sequence[float | None], order: str
) -> int | None:
    """Return the frame to look at after `current`; None if none waits, other than `current` itself.

    By index the search goes on from `current` and wraps; by confidence it is the least certain of all that wait.
    """
    waiting = [i for i in queue(states, confidences, order) if i != current]
    if order == "index":
        waiting.sort(key=lambda i: (i < current, i))
    return waiting[0] if waiting else None
