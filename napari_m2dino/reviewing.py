"""Review: accept, reject, take back and go on; every decision is handed to the writer thread at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m2dino.data.records import Record
from m2dino.errors import UsageError
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.autosave import RETRY_S, Autosave, Holdings, Save
from napari_m2dino.desk import Desk
from napari_m2dino.loop_array import LoopArray
from napari_m2dino.result_layers import ResultLayer
from napari_m2dino.result_layers.classes import ClassResult
from napari_m2dino.review import next_frame
from napari_m2dino.session import FrameState

if TYPE_CHECKING:
    from m2dino.values import Value

LOOK_DELAY_MS = 60


class Reviewing(QObject):
    """The review of the current loop and task.

    Signals
    -------
    changed : a state, the frame shown, or what is saved may have changed
    """

    changed = Signal()

    def __init__(self, desk: Desk, autosave: Autosave) -> None:
        super().__init__()
        self.desk = desk
        self.autosave = autosave
        self.order = "confidence"
        self.holdings: Holdings | None = None
        self._result: ResultLayer | None = None
        self._shown = -1
        self._look_soon = QTimer(self)
        self._look_soon.setSingleShot(True)
        self._look_soon.setInterval(LOOK_DELAY_MS)
        self._look_soon.timeout.connect(self.look)
        self._retry = QTimer(self)
        self._retry.setInterval(int(RETRY_S * 1000))
        self._retry.timeout.connect(autosave.retry)
        desk.session_changed.connect(self._session_changed)
        desk.frame_changed.connect(self._frame_changed)
        autosave.saved.connect(self._saved)
        autosave.failed.connect(self._failed)
        autosave.refused.connect(self._refused)
        autosave.restored.connect(self._restored)
        autosave.holdings.connect(self._counted)

    def close(self) -> None:
        """Stop the clocks; safe to call twice."""
        self._retry.stop()
        self._look_soon.stop()
        self._leave()

    # -- looking -----------------------------------------------------------------------------------------------------
    def look(self) -> None:
        """Compare what stands on the frame shown with what is known of it."""
        if self._result is None or self._shown < 0:
            return
        self._look_at(self._shown)
        self.changed.emit()

    def _look_at(self, frame: int) -> None:
        result = self._result
        if result is None or not result.is_shown(self.desk.viewer):
            return
        try:
            result.session.look(frame, result.value(frame))
        except UsageError:
            result.session.mark_changed(frame)

    def _frame_changed(self, frame: int) -> None:
        if frame == self._shown or self._result is None:
            return
        if self._look_soon.isActive():
            self._look_soon.stop()
            self._look_at(self._shown)
        left, self._shown = self._shown, frame
        self._result.session.watch(frame)
        if self._result.session.state(left) is FrameState.CHANGED:
            self.desk.tell(f"Frame {left} is changed but not saved: go back and accept it.", "warning")
        data = getattr(self.desk.loop_layer(), "data", None)
        if isinstance(data, LoopArray) and frame in data.damaged:
            self.desk.tell(data.damaged[frame], "warning")
        self.changed.emit()

    def _session_changed(self) -> None:
        self._leave()
        self._result, self.holdings = self.desk.result, None
        if self._result is not None:
            self._result.changed.connect(self._touched)
            self._result.noted.connect(self.desk.tell)
            self._shown = self.desk.frame
            self._result.session.watch(self._shown)
            self.autosave.restore(self._result.loop.identity, self._result.task)
        self.changed.emit()

    def _leave(self) -> None:
        if self._result is not None:
            self._result.changed.disconnect(self._touched)
            self._result.noted.disconnect(self.desk.tell)
            self._result.session.watch(None)
        self._result, self._shown = None, -1

    def _touched(self, frame: int) -> None:
        self._look_soon.start()

    # -- deciding ----------------------------------------------------------------------------------------------------
    def accept(self) -> None:
        """Accept what stands on the frame shown, and save it."""
        result, frame = self._result, self._shown
        if result is None:
            self.desk.tell("Nothing to accept: open a loop and choose a task first.", "warning")
            return
        try:
            record = result.session.accept(frame, result.value(frame))
        except UsageError as error:
            self.desk.tell(str(error), "warning")
            return
        self._settle(result, record)

    def reject(self) -> None:
        """Set the frame shown aside as unusable: it never trains."""
        if self._result is None:
            self.desk.tell("Nothing to reject: open a loop and choose a task first.", "warning")
            return
        self._settle(self._result, self._result.session.reject(self._shown))

    def take_back(self) -> None:
        """Undo the decision on the frame shown, or a change not yet saved: the model's proposal is put back."""
        result, frame = self._result, self._shown
        if result is None:
            return
        decided = result.session.is_decided(frame)
        self._look_soon.stop()
        if decided and frame in result.session.unsaved():
            value: Value | None = result.session.saved_value(frame)
            result.write({frame: value})
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
        session = self.desk.session
        if session is None:
            return
        states = session.states()
        confidences = [session.confidence(frame) for frame in range(len(states))]
        frame = next_frame(self._shown, states, confidences, self.order)
        if frame is None:
            self.desk.tell("No other frame waits for you.", "good")
        else:
            self.desk.go_to(frame)

    def choose_class(self, index: int) -> None:
        """Take a person's choice of class for the frame shown."""
        if isinstance(self._result, ClassResult):
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

    def _settle(self, result: ResultLayer, record: Record) -> None:
        self._look_soon.stop()
        result.session.settle(record)
        self.autosave.save(Save(record, result.loop, result.task))
        self.changed.emit()

    # -- what the writer thread says ---------------------------------------------------------------------------------
    def _saved(self, record: Record) -> None:
        if not self.autosave.waiting:
            self._retry.stop()
        self.desk.tell(f"Frame {record.frame} saved as {record.fate}.", "good")
        self.changed.emit()

    def _failed(self, sentence: str) -> None:
        if self.autosave.waiting:
            self._retry.start()
        self.desk.tell(sentence, "error")
        self.changed.emit()

    def _refused(self, record: Record, sentence: str) -> None:
        for result in self.desk.results_for(record.loop_id, record.task_id):
            result.session.take_back(record.frame)
        self.desk.tell(sentence, "error")
        self.changed.emit()

    def _restored(self, loop_id: str, task_id: str, records: list[Record]) -> None:
        for result in self.desk.results_for(loop_id, task_id):
            self._put_back(result, records)

    def _put_back(self, result: ResultLayer, records: list[Record]) -> None:
        session = result.session
        fresh = [r for r in records if r.frame < len(result.loop) and not session.is_decided(r.frame)]
        # Frames changed since the question was asked are the person's newer word.
        fresh = [r for r in fresh if r.frame not in session.unsaved()]
        if not fresh:
            return
        for record in fresh:
            session.settle(record)
        shown = result.is_shown(self.desk.viewer)
        self.desk.show_result(result)  # a new layer gets all that is known
        if shown:
            result.write({record.frame: record.value for record in fresh})
        self.desk.tell(f"{len(fresh)} frames of this loop were reviewed before: their labels are back.")
        self.changed.emit()

    def _counted(self, holdings: Holdings) -> None:
        if self.desk.task is not None and holdings.task_id == self.desk.task.id:
            self.holdings = holdings
            self.changed.emit()
