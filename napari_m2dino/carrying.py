"""Less drawing: the frame shown is carried to its neighbours, or frames between two decided ones are filled in.

What comes of it are proposals, marked as such. A frame that a person has decided on or changed stays as it is, and so
does a proposal that is likely better than what is carried (docs/decisions/0046-what-a-carried-label-may-replace.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from m2dino.cine.loop import CineLoop
from m2dino.correct import propagate
from m2dino.correct.interpolation import interpolate
from m2dino.errors import M2DinoError, UsageError
from m2dino.progress import OnProgress, ShouldStop
from m2dino.values import Prediction, Value
from qtpy.QtCore import QObject, Signal

from napari_m2dino.applying import propose
from napari_m2dino.desk import Desk
from napari_m2dino.errand import Ending, Errand, Work
from napari_m2dino.gaps import gaps_at, neighbours
from napari_m2dino.handfuls import Handfuls
from napari_m2dino.layers import is_blank
from napari_m2dino.model_trust import Judgement, Trust, judgements
from napari_m2dino.origins import Origin, carried_from, interpolated_between, origin_of
from napari_m2dino.result_layers import ResultLayer

WEAK = 0.3
"""Confidence below which what is carried replaces nothing, whatever it is."""
REACHES = (4, 8, 16, 32)
"""How many frames on either side can be asked for."""


class Carrying(QObject):
    """Carries and fills in, in the background.

    Signals
    -------
    changed : it has begun, got on or ended
    arrived : proposals were put on the current result
    put : (ResultLayer, list of frames) that proposals were just put on, a part of what one press asks for
    acted : (ResultLayer, list of frames), at the end, all that one press of a button or key has put proposals on
    """

    changed = Signal()
    arrived = Signal()
    put = Signal(object, object)
    acted = Signal(object, object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.reach = 8
        self.over_model = False
        self.errand = Errand("m2dino carrying")
        self.errand.changed.connect(self.changed)
        self.errand.ended.connect(self._ended)
        self._handfuls = Handfuls(desk, self._put, self.errand.cancel)
        self.errand.handed.connect(self._handfuls.take)
        self._put_on: dict[int, float] = {}
        self._spared: set[int] = set()
        self._called_off = False
        self._trust = Trust()

    def close(self) -> None:
        """Stop the clock and the thread; safe to call twice."""
        self._handfuls.close()
        self.errand.close()

    def cancel(self) -> None:
        """End what is under way; what has arrived stays."""
        self.errand.cancel()

    def call_off(self) -> None:
        """End what is under way, for what it has put on frames is being undone: nothing more is put on any."""
        self._called_off = True
        self.errand.cancel()

    def set_reach(self, frames: int) -> None:
        """Carry to this many frames on either side from now on."""
        self.reach = frames
        self.changed.emit()

    def set_over_model(self, on: bool) -> None:
        """Put what is carried in place of a model's proposals from now on, also where those are likely better."""
        self.over_model = on
        self.changed.emit()

    # -- asking ------------------------------------------------------------------------------------------------------
    def carry(self) -> None:
        """Carry what stands on the frame shown to its neighbours, as far as the tissue can be followed."""
        result, start = self.desk.result, self.desk.frame
        if result is None or self.errand.running or not self.desk.frame_is_seen():
            return
        try:
            value = result.value(start)
        except UsageError as error:
            self.desk.tell(str(error), "warning")
            return
        if value is None or is_blank(value):
            self.desk.tell(f"Frame {start} has nothing to carry: draw something on it first.")
            return
        ways = neighbours(start, result.session.states(), self.reach)
        if not any(ways):
            self.desk.tell("The frames beside this one are yours already, and stay as they are.")
            return
        self._trust = trust = Trust()
        judged = judgements(result.session, start, value)
        self._begin(result, _carry(result.loop, result.task.id, start, value, ways, judged, trust), "carrying")

    def fill(self, everywhere: bool = False) -> None:
        """Fill in between the decided frames around the frame shown; `everywhere`: between all of them."""
        result, frame = self.desk.result, self.desk.frame
        if result is None or self.errand.running or not (everywhere or self.desk.frame_is_seen()):
            return
        self.desk.show_result(result)
        gaps = gaps_at(None if everywhere else frame, result.session.states())
        if not gaps:
            self.desk.tell(
                "Nothing to fill in: draw and accept a frame before and one after, with frames between that are not "
                "decided on."
            )
            return
        try:
            keys = {key: result.value(key) for key in sorted({key for gap in gaps for key in gap})}
        except UsageError as error:
            self.desk.tell(str(error), "warning")
            return
        self._begin(result, _fill(result.task.id, gaps, keys), "filling in")

    def _begin(self, result: ResultLayer, work: Work, doing: str) -> None:
        self._handfuls.begin(result)
        self._put_on, self._spared, self._called_off = {}, set(), False
        self.desk.tell(f"{doing[:1].upper()}{doing[1:]}…")
        self.errand.start(work, doing)

    # -- what arrives ------------------------------------------------------------------------------------------------
    def _put(self, result: ResultLayer, arrived: list[Prediction]) -> None:
        if self._called_off:
            return
        spared = {one.frame for one in arrived if not self._improves(result, one)}
        self._spared |= spared
        arrived = [one for one in arrived if one.frame not in spared]
        kept = propose(result, arrived)
        put = {one.frame: one.confidence for one in arrived if one.frame not in kept}
        self._put_on |= put
        if put:
            self.put.emit(result, sorted(put))
        if result is self.desk.result:
            self.arrived.emit()

    def _improves(self, result: ResultLayer, one: Prediction) -> bool:
        """Whether what has arrived is likely no worse than what is proposed already."""
        maker = result.session.maker(one.frame)
        if not maker or origin_of(one.model_id) is not Origin.CARRIED or maker == one.model_id:
            return True  # an empty frame; what was filled in, as asked for; the same frame carried anew
        if one.confidence < WEAK:
            return False
        if origin_of(maker) is Origin.CARRIED:
            return one.confidence >= (result.session.confidence(one.frame) or 0.0)
        if origin_of(maker) is Origin.MODEL and not self.over_model:
            return self._trust.prefers_carried(one.confidence, maker)
        return True

    def _ended(self, ending: Ending) -> None:
        self._handfuls.flush()
        if self._called_off:
            return
        frames, notes = sorted(self._put_on), list(ending.result or [])
        if frames:
            self.acted.emit(self._handfuls.target, frames)
        if spared := len(self._spared):
            on = "1 frame" if spared == 1 else f"{spared} frames"
            notes.insert(0, f"On {on} what had been proposed stays: what was carried there is likely no better.")
        if ending.trouble:
            self.desk.tell(ending.trouble, "error")
        elif not frames:
            self.desk.tell(notes[0] if notes else "Nothing was put on any frame.", "warning")
        else:
            where = f"frame {frames[0]}" if len(frames) == 1 else f"{len(frames)} frames, {frames[0]} to {frames[-1]}"
            weak = [frame for frame in frames if self._put_on[frame] < WEAK]
            if weak:
                notes.append(f"It was hard to follow on {len(weak)} of them, the low bars: look closely there.")
            stopped = "Stopped: " if ending.cancelled else ""
            sentence = f"{stopped}Proposed on {where}. Look at each and accept it (A), or correct it."
            self.desk.tell(" ".join([sentence, *notes]), "warning" if notes else "good")


def _carry(
    loop: CineLoop,
    task_id: str,
    start: int,
    value: Value,
    ways: Sequence[range],
    judged: Sequence[Judgement],
    trust: Trust,
) -> Work:
    """Return the work of carrying a value both ways; its result are sentences on where it had to end.

    Before anything is handed over, `trust` learns from the judgements.
    """

    def work(on_progress: OnProgress, should_stop: ShouldStop, hand_over: Callable[[Prediction], None]) -> list[str]:
        trust.learn(judged)
        notes, total, before = list[str](), sum(map(len, ways)), 0
        for frames in ways:
            reached = start
            try:
                for frame, carried, confidence in propagate(loop, start, value, frames, should_stop=should_stop):
                    reached = frame
                    on_progress(before + abs(frame - start), total, "")
                    hand_over(Prediction(frame, task_id, carried, confidence, carried_from(start)))
            except M2DinoError as error:
                notes.append(str(error))
            else:
                if frames and reached != frames[-1] and not should_stop():
                    notes.append(f"The tissue could not be followed beyond frame {reached}.")
            before += len(frames)
        return list(dict.fromkeys(notes))

    return work


def _fill(task_id: str, gaps: Sequence[tuple[int, int]], keys: dict[int, Value | None]) -> Work:
    """Return the work of filling gaps; its result are sentences on those that could not be filled."""

    def work(on_progress: OnProgress, should_stop: ShouldStop, hand_over: Callable[[Prediction], None]) -> list[str]:
        notes, total, done = list[str](), sum(end - start - 1 for start, end in gaps), 0
        for start, end in gaps:
            first, last = keys[start], keys[end]
            if first is None or last is None:
                continue
            try:
                for frame, value in interpolate(start, first, end, last):
                    if should_stop():
                        return notes
                    done += 1
                    on_progress(done, total, "")
                    # How near a decided frame is; how right it is, nobody has measured.
                    nearness = 1 - min(frame - start, end - frame) / (end - start)
                    hand_over(Prediction(frame, task_id, value, nearness, interpolated_between(start, end)))
            except M2DinoError as error:
                notes.append(str(error))
        return notes

    return work
