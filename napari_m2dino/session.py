"""The state of one loop and one task: proposals, decisions, what is still unsaved. No Qt, no napari.

The layer a person paints on is the only home of the current value; every question here that depends on it takes it as
an argument. So "edited" is never a flag that could go stale: it is the outcome of comparing values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from m2dino.cine.loop import CineLoop
from m2dino.data.cropping import Region, image_region
from m2dino.data.drafts import Content
from m2dino.data.records import Fate, Record
from m2dino.errors import UsageError
from m2dino.queueing.jumps import Shape, shape_of
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints, Prediction, Value
from psygnal import Signal

from napari_m2dino.layers import is_blank, outside, same_value
from napari_m2dino.origins import Origin, origin_of
from napari_m2dino.packed import Packed, PackedPrediction, pack, unpack

if TYPE_CHECKING:
    from m2dino.queueing.insight import Insight

IDLE_S = 60.0
"""Longest stretch on one frame that counts as work: beyond it the person has left the desk."""


SAME_LOOK = 0.02
"""Distance of two features of one frame, both of length 1, up to which the same network has made them: rounding."""


class FrameState(Enum):
    """Where a frame stands."""

    BLANK = "blank"
    PROPOSED = "proposed"
    CHANGED = "changed, not accepted"
    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"

    @property
    def decided(self) -> bool:
        """Whether a person has decided on the frame, and nothing has changed since."""
        return self in (FrameState.ACCEPTED, FrameState.EDITED, FrameState.REJECTED)


@dataclass(frozen=True)
class Decision:
    """A person's word on a frame.

    Attributes
    ----------
    fate : str
    packed : Packed or None
        The value it was given to; None if rejected.
    left : Packed or None
        What stood on a frame when it was rejected.
    author : str
    seconds : float
    """

    fate: Fate
    packed: Packed | None
    left: Packed | None = None
    author: str = ""
    seconds: float = 0.0

    @property
    def looked_at(self) -> bool:
        """Whether it was made frame by frame: what is accepted in no time at all was accepted together with others."""
        return self.seconds > 0 or self.fate != "accepted"


@dataclass(frozen=True)
class Standing:
    """All that is known of a frame at one moment: what the history goes back to, and what a draft keeps.

    Attributes
    ----------
    content : Content or None
        What a person has drawn and not decided on; None where the decision, or else the proposal, stands as it was.
    decision : Decision or None
    proposal : PackedPrediction or None
    """

    content: Content | None
    decision: Decision | None
    proposal: PackedPrediction | None


class LoopSession:
    """State of one loop and one task.

    Attributes
    ----------
    loop : CineLoop
    task : Task
    region_for : callable, optional
        Returns the part of a loop's frames that the network is shown; None: all of it.
    insights : dict of int to Insight
        What the network has shown of a frame beside its answer.
    changed : Signal
        Emitted with the frame whose state may have changed, or -1 for many.
    """

    changed = Signal(int)

    def __init__(
        self, loop: CineLoop, task: Task, region_for: Callable[[CineLoop], Region | None] = image_region
    ) -> None:
        self.loop = loop
        self.task = task
        self._region_for = region_for
        self._proposals: dict[int, PackedPrediction] = {}
        self._decisions: dict[int, Decision] = {}
        self._unsaved: set[int] = set()
        self._contents: dict[int, Content] = {}
        self._shapes: dict[int, tuple[object, Shape]] = {}
        self._drawn_shapes: dict[int, Shape] = {}
        self.insights: dict[int, Insight] = {}
        self._seconds: dict[int, float] = {}
        self._watched: tuple[int, float] | None = None

    # -- proposals ---------------------------------------------------------------------------------------------------
    def propose(self, prediction: Prediction) -> None:
        """Take note of what the model says of a frame."""
        self._proposals[prediction.frame] = PackedPrediction.of(prediction)
        self._set_aside(prediction.frame)
        self.changed.emit(prediction.frame)

    def proposal(self, frame: int) -> Prediction | None:
        """Return what the model last said of a frame that nobody had touched."""
        packed = self._proposals.get(frame)
        return packed.whole() if packed else None

    def packed_proposal(self, frame: int) -> PackedPrediction | None:
        """Return what was last proposed for a frame, in its small form, which another thread may unpack."""
        return self._proposals.get(frame)

    def has_proposals_of(self, model_id: str) -> bool:
        """Whether this model has said anything yet."""
        return any(known.model_id == model_id for known in self._proposals.values())

    def confidence(self, frame: int) -> float | None:
        packed = self._proposals.get(frame)
        return packed.confidence if packed else None

    def note_shape(self, frame: int, shape: Shape) -> None:
        """Take note of the shape of the proposal of a frame, where it is known already."""
        self._shapes[frame] = (self._proposals.get(frame), shape)

    def shape(self, frame: int) -> Shape | None:
        """Return what is drawn on a frame, else decided on, else proposed, in a few numbers; None where nothing is."""
        if frame in self._unsaved:
            return self._drawn_shapes.get(frame)
        decision = self._decisions.get(frame)
        source = decision if decision and decision.packed is not None else self._proposals.get(frame)
        if source is None:
            return None
        known = self._shapes.get(frame)
        if known is None or known[0] is not source:
            value = self.saved_value(frame) if source is decision else unpack(self._proposals[frame].packed)
            assert value is not None
            known = self._shapes[frame] = (source, shape_of(value))
        return known[1]

    def note_insight(self, insight: Insight) -> None:
        """Take note of what the network has shown of a frame.

        What is known of the other frames goes where it cannot be compared with it: another network, or the same one
        shown another part of the picture, sees the same frame otherwise.
        """
        known = self.insights.get(insight.frame) or next(iter(self.insights.values()), None)
        if known is not None:
            far = known.features.shape != insight.features.shape or (
                known.frame == insight.frame and np.linalg.norm(known.features - insight.features) > SAME_LOOK
            )
            if far:
                self.insights.clear()
        self.insights[insight.frame] = insight

    def maker(self, frame: int) -> str:
        """Return who made the proposal of a frame: the id of a model, or one of `origins`; empty without a proposal."""
        packed = self._proposals.get(frame)
        return packed.model_id if packed else ""

    def is_by_hand(self, frame: int) -> bool:
        """Whether the proposal of a frame was carried, filled in or imported, and so comes of a person's work."""
        return origin_of(self.maker(frame)) is not Origin.MODEL

    # -- states ------------------------------------------------------------------------------------------------------
    def state(self, frame: int) -> FrameState:
        """Return where a frame stands, as of the last `look` at it."""
        if frame in self._unsaved:
            return FrameState.CHANGED
        decision = self._decisions.get(frame)
        if decision:
            return FrameState(decision.fate)
        return FrameState.PROPOSED if frame in self._proposals else FrameState.BLANK

    def states(self) -> list[FrameState]:
        """Return the state of every frame."""
        return [self.state(frame) for frame in range(len(self.loop))]

    def look(self, frame: int, current: Value | None) -> FrameState:
        """Compare the layer's current value with what is known of the frame, and return the state it is in."""
        was = self.state(frame)
        if self._differs(frame, current):
            self._unsaved.add(frame)
            if current is not None:
                self._drawn_shapes[frame] = shape_of(current)
            else:
                self._drawn_shapes.pop(frame, None)
        else:
            self._set_aside(frame)
        now = self.state(frame)
        if now is not was:
            self.changed.emit(frame)
        return now

    def mark_changed(self, frame: int) -> None:
        """Take note that something stands on the frame that is no value yet, such as a second box."""
        self._unsaved.add(frame)
        self._drawn_shapes.pop(frame, None)
        self.changed.emit(frame)

    def is_protected(self, frame: int, current: Value | None) -> bool:
        """Whether predicting again must leave the frame alone: a person has decided on it, or changed it."""
        return frame in self._decisions or self._differs(frame, current)

    def unsaved(self) -> list[int]:
        """Return the frames with a change that is not saved."""
        return sorted(self._unsaved)

    def _differs(self, frame: int, current: Value | None) -> bool:
        decision = self._decisions.get(frame)
        if decision and (word := decision.packed or decision.left) is not None:
            return not same_value(current, unpack(word))
        known = self._proposals.get(frame)
        if known is None:
            return not is_blank(current)
        value = unpack(known.packed)
        return not same_value(current, value) and not (is_blank(current) and is_blank(value))

    # -- decisions ---------------------------------------------------------------------------------------------------
    def accept(self, frame: int, current: Value | None) -> Record:
        """Return the record of accepting a frame: `accepted` if the proposal stands unchanged, else `edited`.

        Raises
        ------
        UsageError
            There is nothing on the frame to accept, or it lies outside the image.
        """
        proposal = self.proposal(frame)
        if current is None or (proposal is None and is_blank(current)):
            raise UsageError(f"Frame {frame} has no label yet: predict it, or draw one, before accepting.")
        if isinstance(current, Box) and (current.y_max - current.y_min < 1 or current.x_max - current.x_min < 1):
            raise UsageError(f"The box on frame {frame} is thinner than a pixel or outside the image: draw it again.")
        self._refuse_outside(frame, current)
        if proposal is not None and same_value(current, proposal.value):
            # The proposal itself, not the layer's copy of it in single precision.
            return self._record(frame, "accepted", proposal.value, proposal)
        return self._record(frame, "edited", current, proposal)

    def _refuse_outside(self, frame: int, current: Value) -> None:
        if not isinstance(current, Keypoints):
            return
        if names := outside(current, self.loop.height, self.loop.width, self.task):
            what, it = ("point", "it") if len(names) == 1 else ("points", "them")
            lie = "lies" if len(names) == 1 else "lie"
            raise UsageError(
                f"The {what} {', '.join(names)} {lie} outside the image on frame {frame}: drag {it} back in, or mark "
                f"{it} as not visible."
            )

    def reject(self, frame: int) -> Record:
        """Return the record of rejecting a frame."""
        return self._record(frame, "rejected", None, self.proposal(frame))

    def settle(self, record: Record, left: Value | None = None) -> None:
        """Take note of a decision: one just made, or one read back from the dataset folder.

        `left` is what stood on a frame that is rejected.
        """
        packed = pack(record.value) if record.value is not None else None
        rest = pack(left) if left is not None and packed is None else None
        self._decisions[record.frame] = Decision(record.fate, packed, rest, record.author, record.seconds)
        if record.proposal is not None and record.frame not in self._proposals:
            self._proposals[record.frame] = PackedPrediction.of(record.proposal)
        self._set_aside(record.frame)
        self._seconds.pop(record.frame, None)
        self.changed.emit(record.frame)

    def saved_value(self, frame: int) -> Value | None:
        """Return the value a person decided on; None if there is none."""
        decision = self._decisions.get(frame)
        return unpack(decision.packed) if decision and decision.packed is not None else None

    def kept_values(self) -> dict[int, Packed]:
        """Return the values that a person has looked at and decided on, by frame, in their small form."""
        return {frame: one.packed for frame, one in self._decisions.items() if one.packed is not None and one.looked_at}

    def judged(self, model_id: str) -> list[tuple[float, bool]]:
        """Return the confidence of each frame predicted by a model and then decided on, and whether it was left as is.

        Frames that nobody has looked at are left out.
        """
        return [
            (known.confidence, decision.fate == "accepted")
            for frame, decision in self._decisions.items()
            if decision.looked_at and (known := self._proposals.get(frame)) and known.model_id == model_id
        ]

    def is_proposed(self, frame: int) -> bool:
        """Whether the machine has said anything of a frame, decided on or not."""
        return frame in self._proposals

    def is_decided(self, frame: int) -> bool:
        return frame in self._decisions

    def take_back(self, frame: int) -> Prediction | None:
        """Forget the decision on a frame and return the model's proposal for it, if there was one."""
        self._decisions.pop(frame, None)
        self._set_aside(frame)
        self.changed.emit(frame)
        return self.proposal(frame)

    def forget_decisions(self, but: Collection[int] = ()) -> list[int]:
        """Forget the decisions, but those on some frames, and return on which frames there was one.

        What is proposed stays, and so does what is drawn and not decided on.
        """
        frames = sorted(self._decisions.keys() - set(but))
        for frame in frames:
            del self._decisions[frame]
        if frames:
            self.changed.emit(-1)
        return frames

    # -- standings ---------------------------------------------------------------------------------------------------
    def keep(self, frame: int, content: Content) -> None:
        """Keep what is drawn on a frame that is changed and not decided on."""
        self._contents[frame] = content

    def content(self, frame: int) -> Content | None:
        """Return what is drawn on a frame and not decided on."""
        return self._contents.get(frame)

    def contents(self) -> dict[int, Content]:
        """Return what is drawn and not decided on, by frame."""
        return dict(self._contents)

    def standing(self, frame: int) -> Standing:
        """Return all that is known of a frame, as of the last `look` at it."""
        return Standing(self._contents.get(frame), self._decisions.get(frame), self._proposals.get(frame))

    def stand(self, frame: int, standing: Standing) -> None:
        """Put a frame back to where it stood."""
        self._set_aside(frame)
        self._decisions.pop(frame, None)
        if standing.decision is not None:
            self._decisions[frame] = standing.decision
        self._proposals.pop(frame, None)
        if standing.proposal is not None:
            self._proposals[frame] = standing.proposal
        if standing.content is not None:
            self._contents[frame] = standing.content
            self._unsaved.add(frame)
        self.changed.emit(frame)

    def base(self, frame: int) -> Value | None:
        """Return what stands on a frame but for undecided work: the value decided on, else the proposal's."""
        decision = self._decisions.get(frame)
        if decision and (word := decision.packed or decision.left) is not None:
            return unpack(word)
        packed = self._proposals.get(frame)
        return unpack(packed.packed) if packed else None

    def record_of(self, frame: int) -> Record | None:
        """Return the record of the decision that holds for a frame, to be saved anew."""
        decision = self._decisions.get(frame)
        if decision is None:
            return None
        value = unpack(decision.packed) if decision.packed is not None else None
        record = self._record(frame, decision.fate, value, self.proposal(frame))
        return replace(record, author=decision.author, seconds=decision.seconds)

    def _set_aside(self, frame: int) -> None:
        self._unsaved.discard(frame)
        self._contents.pop(frame, None)
        self._drawn_shapes.pop(frame, None)

    # -- time --------------------------------------------------------------------------------------------------------
    def watch(self, frame: int | None, now: float | None = None) -> None:
        """Start counting the time a person spends on `frame`, and stop counting for the one before; None: stop."""
        now = time.monotonic() if now is None else now
        if self._watched is not None:
            before, since = self._watched
            self._seconds[before] = self._seconds.get(before, 0.0) + min(max(now - since, 0.0), IDLE_S)
        self._watched = None if frame is None else (frame, now)

    def seconds(self, frame: int) -> float:
        """Return the time spent on a frame since its last decision."""
        return self._seconds.get(frame, 0.0)

    def _record(self, frame: int, fate: Fate, value: Value | None, proposal: Prediction | None) -> Record:
        if self._watched is not None and self._watched[0] == frame:
            self.watch(frame)
        return Record(
            loop_id=self.loop.identity,
            frame=frame,
            task_id=self.task.id,
            fate=fate,
            value=value,
            proposal=proposal,
            seconds=round(self.seconds(frame), 1),
            group=self.loop.identity,
            region=self._region_for(self.loop) if value is not None else None,
        )
