"""The queue of one dock: in which order frames come up for review, and why a frame stands where it does. No Qt."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from m2dino.queueing.diversity import k_centre
from m2dino.queueing.jumps import Jump, jump_of

from napari_m2dino.desk import Desk
from napari_m2dino.origins import Origin, in_words, origin_of
from napari_m2dino.review import next_frame, queue
from napari_m2dino.session import FrameState, LoopSession

SEED = 20
NOTABLE_JUMP = 0.2
"""From this score on a jump is mentioned whatever the order is."""


class ReviewQueue:
    """The frames of the session on the desk that wait, in the order chosen.

    Attributes
    ----------
    order : str
        One of `review.ORDERS`.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.order = "confidence"

    def next(self, current: int, order: str = "") -> int | None:
        """Return the frame to look at after `current`; None where no other waits."""
        session, order = self.desk.session, order or self.order
        if session is None:
            return None
        return next_frame(current, session.states(), ranks(session, order), order)

    def why(self, frame: int) -> str:
        """Return where a frame stands in the queue and why, in words; empty where it does not wait."""
        session = self.desk.session
        if session is None:
            return ""
        apart = _different(session) if self.order == "diversity" else {}
        states, numbers = session.states(), ranks(session, self.order, apart)
        waiting = queue(states, numbers, self.order)
        if frame not in waiting:
            return ""
        jump = _jump(session, frame)
        told = numbers[frame] is not None or self.order == "index"
        reasons = [_reason(session, frame, self.order, jump, apart)] if told else []
        if jump is not None and jump.score >= NOTABLE_JUMP and self.order != "jump":
            reasons.append(f"{jump.words} against its neighbours")
        place = f"{waiting.index(frame) + 1} of {len(waiting)} in the queue"
        return "; ".join([place, *(reason for reason in reasons if reason)])


def ranks(session: LoopSession, order: str, apart: Mapping[int, float] | None = None) -> Sequence[float | None]:
    """Return a number for each frame, the lowest to be looked at first; None where there is no telling.

    `apart` is what `_different` returns, where that is known already: it is dear on long loops.
    """
    frames = range(len(session.loop))
    if order == "jump":
        jumps = [_jump(session, frame) for frame in frames]
        return [None if jump is None else -jump.score for jump in jumps]
    if order == "entropy":
        # Of what was put on a frame by hand, no network can say how it came to it.
        known = [frame in session.insights and not session.is_by_hand(frame) for frame in frames]
        return [-session.insights[frame].entropy if known[frame] else None for frame in frames]
    if order == "diversity":
        found = _different(session) if apart is None else apart
        places = {frame: place / (len(found) + 1) for place, frame in enumerate(found)}
        return [places.get(frame) for frame in frames]
    if order == "random":
        drawn = random.Random(f"{SEED} {session.loop.identity}")
        return [drawn.random() for _ in frames]
    return [session.confidence(frame) for frame in frames]


def _different(session: LoopSession) -> dict[int, float]:
    return k_centre({frame: insight.features for frame, insight in session.insights.items()}, _decided(session))


def _decided(session: LoopSession) -> list[int]:
    """Return the decided frames whose looks are known."""
    return [frame for frame, state in enumerate(session.states()) if state.decided and frame in session.insights]


def _jump(session: LoopSession, frame: int) -> Jump | None:
    if session.state(frame) is FrameState.BLANK:
        return None
    count = len(session.loop)
    beside = [other for other in (frame - 1, frame, frame + 1) if 0 <= other < count]
    # What was rejected is no measure for the frames beside it.
    beside = [other for other in beside if other == frame or session.state(other) is not FrameState.REJECTED]
    shapes = {other: shape for other in beside if (shape := session.shape(other)) is not None}
    return jump_of(frame, shapes, min(session.loop.height, session.loop.width))


def _reason(session: LoopSession, frame: int, order: str, jump: Jump | None, apart: Mapping[int, float]) -> str:
    if order == "jump":
        return f"{jump.words} against its neighbours" if jump else ""
    if order == "entropy":
        return f"experts divided by {session.insights[frame].entropy:.2f} of 1"
    if order == "diversity":
        decided = _decided(session)
        if not decided and frame == next(iter(apart)):
            return "looks most like the loop as a whole"
        others = "the frames decided on and those" if decided else "those"
        return f"differs by {apart[frame]:.3f} from {others} before it in the queue"
    if order == "random":
        return "drawn at random"
    if order == "index":
        return "in order"
    confidence, origin = session.confidence(frame) or 0.0, origin_of(session.maker(frame))
    if origin is Origin.CARRIED:
        return f"{in_words(session.maker(frame))}, {confidence:.0%} of it could be followed"
    if origin is not Origin.MODEL:  # the number is none of confidence: see `carrying`
        return in_words(session.maker(frame))
    if session.state(frame) is FrameState.CHANGED:
        return f"confidence {confidence:.2f} before your change"
    return f"confidence {confidence:.2f}"
