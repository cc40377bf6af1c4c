"""Review: accept, reject, undo and go on; every decision and change is handed to the writer thread at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.data.records import Record
from m2dino.errors import UsageError
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.autosave import Autosave, Holdings
from napari_m2dino.desk import Desk
from napari_m2dino.hearing import Hearing
from napari_m2dino.history import Step
from napari_m2dino.ledger import Ledger
from napari_m2dino.loop_array import LoopArray
from napari_m2dino.places import short
from napari_m2dino.postbox import Save
from napari_m2dino.queueing import ReviewQueue
from napari_m2dino.result_layers import ResultLayer
from napari_m2dino.result_layers.classes import ClassResult
from napari_m2dino.session import FrameState
from napari_m2dino.stepping import Stepping
from napari_m2dino.words import frames_in_words

if TYPE_CHECKING:
    from m2dino.values import Value

LOOK_DELAY_MS = 60


class Reviewing(QObject):
    """The review of the current loop and task.

    Signals
    -------
    changed : a state, the frame shown, or what is saved may have changed
    press_undone : what one press was still putting proposals on is being undone
    """

    changed = Signal()
    press_undone = Signal()

    def __init__(self, desk: Desk, autosave: Autosave) -> None:
        super().__init__()
        self.desk = desk
        self.autosave = autosave
        self.ledger = Ledger(desk, autosave)
        self.heard = Hearing(desk, autosave, self.ledger)
        self.queue = ReviewQueue(desk)
        self._stepping = Stepping()
        self.moves_on = True
        self._result: ResultLayer | None = None
        self._shown = -1
        self._touched_frames: set[int] = set()
        self._looking = False
        self._press: Step[ResultLayer] | None = None
        self._look_soon = QTimer(self)
        self._look_soon.setSingleShot(True)
        self._look_soon.setInterval(LOOK_DELAY_MS)
        self._look_soon.timeout.connect(self.look)
        desk.session_changed.connect(self._session_changed)
        desk.frame_changed.connect(self._frame_changed)
        self.heard.changed.connect(self.changed)

    @property
    def holdings(self) -> Holdings | None:
        """What the dataset folder holds for the task on the desk, once it is known."""
        return self.heard.holdings

    def close(self) -> None:
        """Enter what was drawn last, and stop the clocks; safe to call twice."""
        self._leave()
        self._look_soon.stop()
        self.heard.close()

    # -- looking -----------------------------------------------------------------------------------------------------
    def look(self) -> None:
        """Compare what stands on the frame shown, and on those touched, with what is known of them."""
        self._enter()
        self.changed.emit()

    def _enter(self, words: str = "") -> None:
        """Enter what has changed into the history, and have it saved."""
        result, self._touched_frames, touched = self._result, set(), self._touched_frames
        self._look_soon.stop()
        if result is None:
            return
        frames = {frame for frame in (*touched, self._shown) if 0 <= frame < len(result.loop)}
        if -1 in touched:
            frames |= set(result.changed_frames())
        self._looking = True
        try:
            for frame in frames:
                self.ledger.look(result, frame)
        finally:
            self._looking = False
        self.ledger.enter(result, frames, words)

    def _frame_changed(self, frame: int) -> None:
        if frame == self._shown or self._result is None:
            return
        if self._look_soon.isActive():
            self._enter()
        left, self._shown = self._shown, frame
        self._result.session.watch(frame)
        if self._result.session.state(left) is FrameState.CHANGED:
            self.desk.tell(f"Frame {left} is changed and kept, but trains only once you accept it.", "warning")
        data = getattr(self.desk.loop_layer(), "data", None)
        if isinstance(data, LoopArray) and frame in data.damaged:
            self.desk.tell(data.damaged[frame], "warning")
        self.changed.emit()

    def _session_changed(self) -> None:
        self._leave()
        self._result = self.desk.result
        self.heard.holdings = None
        if self._result is not None:
            self._result.changed.connect(self._touched)
            self._result.noted.connect(self.desk.tell)
            self._result.session.changed.connect(self._stirred)
            self._shown = self.desk.frame
            self._result.session.watch(self._shown)
            self.ledger.meet(self._result)
            self.ledger.enter(self._result, range(len(self._result.loop)))  # what came while it was not on the desk
            self.autosave.restore(self._result.loop.identity, self._result.task)
        self.changed.emit()

    def _leave(self) -> None:
        if self._result is not None:
            if self._look_soon.isActive():
                self._enter()
            self._result.changed.disconnect(self._touched)
            self._result.noted.disconnect(self.desk.tell)
            self._result.session.changed.disconnect(self._stirred)
            self._result.session.watch(None)
        self._result, self._shown = None, -1

    def _touched(self, frame: int) -> None:
        self._touched_frames.add(frame)
        self._look_soon.start()

    def _stirred(self, frame: int) -> None:
        """Hear of a frame whose state has changed: a prediction has come, or what was carried."""
        if not self._looking:
            self._touched_frames.add(max(frame, 0))
            self._look_soon.start()

    # -- one press, many frames --------------------------------------------------------------------------------------
    def enter_put(self, result: ResultLayer, frames: Sequence[int]) -> None:
        """Enter what one press has just put on some frames: whatever it puts on others later is of the same step.

        At once, and not with the next look at them: what a person draws there meanwhile is a step of its own.
        """
        self._press = self.ledger.enter(result, frames, onto=self._press) or self._press

    def end_press(self) -> None:
        """Begin another step with what is put on frames next."""
        self._press = None

    # -- another folder ----------------------------------------------------------------------------------------------
    def move_to(self, folder: Path) -> None:
        """Save to another dataset folder from now on: its decisions are shown, and undecided work comes along."""
        self._enter()
        left, results = self.autosave.folder, self.desk.results()
        along = self.autosave.move_to(folder)
        if folder != left:
            self.heard.holdings = None
            behind = self.ledger.move(results, along)
            stays = f" What you decided on before stays in {short(left)}." if behind else ""
            self.desk.tell(f"Frames you accept are saved in {short(folder)} from now on.{stays}")
        asked = {(one.loop.identity, one.task.id): one.task for one in results if self.desk.shows(one.loop)}
        for (loop_id, _), task in asked.items():
            self.autosave.restore(loop_id, task)
        self.changed.emit()

    # -- deciding ----------------------------------------------------------------------------------------------------
    def accept(self) -> None:
        """Accept what stands on the frame shown, and save it."""
        result, frame = self._result, self._shown
        if result is None:
            self.desk.tell("Nothing to accept: open a loop and choose a task first.", "warning")
            return
        if not self.desk.frame_is_seen():
            return
        self._enter()
        try:
            record = result.session.accept(frame, result.value(frame))
        except UsageError as error:
            self.desk.tell(str(error), "warning")
            return
        result.square_up(frame)
        self._settle(result, record)

    def accept_together(self, frames: Sequence[int], from_confidence: float) -> None:
        """Accept frames that stand as the model predicted them, unseen, as one step; all others are left alone."""
        result = self._result
        if result is None:
            return
        self._enter()
        records = [record for frame in frames if (record := self._as_predicted(result, frame)) is not None]
        if not records:
            self.desk.tell("None of these frames stands as the model predicted it any more.", "warning")
            return
        self._looking = True
        try:
            for record in records:
                result.session.settle(record)
        finally:
            self._looking = False
        where = frames_in_words([record.frame for record in records])
        self.ledger.enter(result, [record.frame for record in records], f"accepting {where} together")
        self.heard.expect(
            records,
            f"Accepted as predicted, without a look at each: {where}, from confidence {from_confidence:.2f} up. "
            "Undo takes all of them back.",
        )
        for record in records:
            self.autosave.save(Save(record, result.loop, result.task))
        self.changed.emit()

    def _as_predicted(self, result: ResultLayer, frame: int) -> Record | None:
        """Return the record of accepting a frame that a model has predicted and nobody has touched; else None."""
        session = result.session
        if session.state(frame) is not FrameState.PROPOSED or session.is_by_hand(frame):
            return None
        try:
            record = session.accept(frame, result.value(frame))
        except UsageError:
            return None
        # No seconds: nobody has spent any on this decision, and what is known of thresholds goes by that.
        return replace(record, author=self.autosave.author, seconds=0.0) if record.fate == "accepted" else None

    def reject(self) -> None:
        """Set the frame shown aside as unusable: it never trains."""
        result, frame = self._result, self._shown
        if result is None:
            self.desk.tell("Nothing to reject: open a loop and choose a task first.", "warning")
            return
        if not self.desk.frame_is_seen():
            return
        self._enter()
        try:
            left = result.value(frame)
        except UsageError:
            left = None
        self._settle(result, result.session.reject(frame), left)

    def undo(self) -> None:
        """Take back the last thing done, whatever it was, and show where."""
        self._enter()
        if self._press is not None and self.ledger.history.next_undo is self._press:
            self.end_press()
            self.press_undone.emit()
        self.desk.tell(self.ledger.undo())
        self.changed.emit()

    def redo(self) -> None:
        """Do again what was undone last."""
        self._enter()
        self.desk.tell(self.ledger.redo())
        self.changed.emit()

    def take_back(self) -> None:
        """Undo the decision on the frame shown, or a change not yet saved: the model's proposal is put back."""
        result, frame = self._result, self._shown
        if result is None or not self.desk.frame_is_seen():
            return
        self._enter()
        decided = result.session.is_decided(frame)
        if decided and frame in result.session.unsaved():
            # Of a rejected frame no value is saved: it stands as it was rejected.
            result.write({frame: result.session.base(frame)})
            self.desk.tell(f"Frame {frame}: back to what was saved.")
        else:
            proposal = result.session.take_back(frame)
            if result.is_shown(self.desk.viewer):
                result.write({frame: proposal.value if proposal else None})
            if decided:
                self.autosave.withdraw(result.loop.identity, result.task, frame)
            self.desk.tell(f"Frame {frame}: back to {'the proposal' if proposal else 'nothing'}.")
        self.look()

    def next(self) -> None:
        """Show the next frame that waits for a decision."""
        self._go(self.queue.next(self._shown))

    def next_in_order(self) -> None:
        """Show the next frame along the loop that nobody has decided on."""
        self._go(self.queue.next(self._shown, "index"))

    def step(self, way: int) -> None:
        """Show the frame before (-1) or after (+1), or one farther on while the key is held."""
        if self.desk.loop is not None:
            self.desk.go_to(self._stepping.step(self.desk.frame, way, len(self.desk.loop)))

    def _go(self, frame: int | None) -> None:
        if frame is None:
            self.desk.tell("No other frame waits for you.", "good")
        else:
            self.desk.go_to(frame)

    def choose_class(self, index: int) -> None:
        """Take a person's choice of class for the frame shown."""
        if isinstance(self._result, ClassResult) and self.desk.frame_is_seen():
            self._result.choose(self._shown, index)
            self.look()

    def new_label(self) -> None:
        """Make an empty layer of the right kind, to label by hand."""
        result = self._result
        if result is None:
            return
        self.desk.show_result(result)
        layer = result.layer
        if layer is None:
            self.desk.tell("Click a class in the list to label this frame with it, then accept.")
            return
        self.desk.viewer.layers.selection.active = layer
        ways = {
            "segmentation": ("paint", "Paint on the frame, then accept (A)."),
            "detection": ("add_rectangle", "Drag a box on the frame, then accept (A)."),
            "regression": ("add", "Click the points in the order of their names, then accept (A)."),
        }
        mode, sentence = ways[result.task.type]
        layer.mode = mode
        self.desk.tell(sentence)

    def _settle(self, result: ResultLayer, record: Record, left: Value | None = None) -> None:
        record = replace(record, author=self.autosave.author)
        result.session.settle(record, left)
        self.ledger.enter(result, [record.frame])
        self.autosave.save(Save(record, result.loop, result.task))
        self.changed.emit()
        if self.moves_on and (frame := self.queue.next(self._shown)) is not None:
            self.desk.go_to(frame)
