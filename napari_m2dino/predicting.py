"""Predict: what can be asked for, the request under way, and putting what arrives on the layers."""

from __future__ import annotations

from typing import Any

from m2dino.values import Prediction
from qtpy.QtCore import QObject, Signal

from napari_m2dino.applying import is_persons, propose
from napari_m2dino.desk import Desk
from napari_m2dino.handfuls import PUT_EVERY_MS, Handfuls
from napari_m2dino.jobs import Outcome, PredictionJobs, Progress
from napari_m2dino.result_layers import ResultLayer


class Predicting(QObject):
    """Prediction as the dock drives it.

    Signals
    -------
    changed : something a button or the progress bar depends on
    arrived : predictions were put on the current result
    """

    changed = Signal()
    arrived = Signal()

    def __init__(self, desk: Desk, jobs: PredictionJobs) -> None:
        super().__init__()
        self.desk = desk
        self.jobs = jobs
        self.running = False
        self.progress: Progress | None = None
        self.device = ""
        self._generation = -1
        self._kept: set[int] = set()
        self._spared: set[int] = set()
        self._sparing = False
        self._model_failed = ""
        self._first = True
        self._handfuls = Handfuls(desk, self._put, jobs.cancel)
        self._told: dict[int, tuple[Any, Any]] = {}
        jobs.told.connect(self._hear)
        jobs.predicted.connect(self._take)
        jobs.progressed.connect(self._progressed)
        jobs.ended.connect(self._ended)
        jobs.model_ready.connect(self._model_ready)
        jobs.model_failed.connect(self._model_fails)
        desk.session_changed.connect(self.changed)
        desk.checkpoint_changed.connect(self._warm_up)

    def obstacle(self) -> str:
        """Return why nothing can be predicted now, in a sentence; empty if it can."""
        desk = self.desk
        if desk.loop is None:
            return "Open a loop first: drop a DICOM, video or image folder on the window, or take the sample loop."
        if desk.checkpoint is None:
            return "No model is loaded: open a checkpoint file."
        if desk.task is None:
            return "Choose what to look for under Task."
        if desk.checkpoint.report(desk.task) is None:
            return (
                f"This model was never trained on “{desk.task.title}”, so its output would be noise. "
                "Label a few frames by hand (New label), accept them, and fine-tune."
            )
        return self._model_failed

    def this_frame(self) -> None:
        """Predict the frame shown, in place of what was carried there, too."""
        if self.desk.frame_is_seen():
            self._start((self.desk.frame,))

    def all_frames(self) -> None:
        """Predict the whole loop, beginning with the frame shown.

        What was carried, filled in or imported stays: a model's word on many frames at once must not sweep away what
        comes of a person's work on a few.
        """
        if self.desk.loop is not None:
            count, first = len(self.desk.loop), self.desk.frame
            self._start(tuple((first + step) % count for step in range(count)), sparing=True)

    def all_anew(self) -> None:
        """Predict the whole loop with the model now chosen; what another was still at ends."""
        self._handfuls.flush()
        self.running = False
        self.all_frames()

    def cancel(self) -> None:
        """End the request; what has arrived stays."""
        self.jobs.cancel()

    def _start(self, frames: tuple[int, ...], sparing: bool = False) -> None:
        desk = self.desk
        if trouble := self.obstacle():
            desk.tell(trouble, "warning")
            return
        if self.running:  # the buttons are off then, the keys are not
            desk.tell("A prediction is still running: wait for it, or cancel it first.", "warning")
            return
        assert desk.loop
        assert desk.task
        assert desk.checkpoint
        assert desk.result
        session = desk.result.session
        kept = {frame for frame in frames if is_persons(desk.result, frame)}
        spared = {frame for frame in frames if sparing and session.is_by_hand(frame)} - kept
        if len(kept) == len(frames):
            what = f"Frame {frames[0]} is" if len(frames) == 1 else "All frames are"
            desk.tell(f"{what} already reviewed or changed by you, and stays as it is. Take it back to predict anew.")
            return
        if len(kept | spared) == len(frames):
            desk.tell(f"Nothing to predict: {_by_hand(len(spared))}")
            return
        self._handfuls.begin(desk.result)
        self._kept, self._spared, self._sparing, self._first = kept, spared, sparing, True
        self._told = {}
        self.running, self.progress = True, None
        todo = tuple(frame for frame in frames if frame not in kept | spared)
        region = desk.region_for(desk.loop)
        self._generation = self.jobs.start(desk.loop, desk.task, desk.checkpoint.path, todo, region)
        self.changed.emit()

    def _hear(self, generation: int, frame: int, insight: Any, shape: Any) -> None:
        if generation == self._generation:
            self._told[frame] = (insight, shape)

    def _take(self, generation: int, prediction: Prediction) -> None:
        if generation != self._generation:
            return
        # Somebody waits for the first, so it is put at once.
        self._handfuls.take(prediction, 0 if self._first else PUT_EVERY_MS)
        self._first = False

    def _put(self, result: ResultLayer, arrived: list[Prediction]) -> None:
        """Put what has arrived on the layer, but for frames that a person has touched meanwhile."""
        if self._sparing:  # some of it may have been carried since this was begun
            self._spared |= {one.frame for one in arrived if result.session.is_by_hand(one.frame)}
            arrived = [one for one in arrived if one.frame not in self._spared]
        touched = propose(result, arrived)
        self._kept |= set(touched)
        for frame in (prediction.frame for prediction in arrived if prediction.frame not in touched):
            if (told := self._told.pop(frame, None)) is not None:
                insight, shape = told
                result.session.note_shape(frame, shape)
                if insight is not None:
                    result.session.note_insight(insight)
        self.changed.emit()
        if result is self.desk.result:
            self.arrived.emit()

    def _progressed(self, progress: Progress) -> None:
        if progress.generation == self._generation:
            self.progress = progress  # shown with the next handful

    def _ended(self, outcome: Outcome) -> None:
        if outcome.generation != self._generation:
            return
        self._handfuls.flush()
        self.running = False
        self.changed.emit()
        kept = f" {len(self._kept)} of yours kept as they were." if self._kept else ""
        if self._spared:
            kept = f"{kept} {_by_hand(len(self._spared))}"
        frames = "1 frame" if outcome.predicted == 1 else f"{outcome.predicted} frames"
        if outcome.failed:
            self.desk.tell(outcome.message, "error")
        elif outcome.cancelled:
            self.desk.tell(f"Stopped after {frames}; they stay.{kept}")
        elif outcome.message:
            self.desk.tell(f"Predicted {frames}. {outcome.message}", "warning")
        else:
            self.desk.tell(
                f"Predicted {frames} in {outcome.seconds:.1f} s.{kept} Now review: accept, correct or reject.", "good"
            )

    def _warm_up(self) -> None:
        self._model_failed, self.device = "", ""
        if self.desk.checkpoint is not None:
            self.jobs.warm_up(self.desk.checkpoint.path)
        self.changed.emit()

    def _model_ready(self, path: str, device: str) -> None:
        if self.desk.checkpoint is not None and path == str(self.desk.checkpoint.path):
            self.device = device
            self.changed.emit()

    def _model_fails(self, path: str, message: str) -> None:
        if self.desk.checkpoint is not None and path == str(self.desk.checkpoint.path):
            self._model_failed = message
            self.desk.tell(message, "error")
            self.changed.emit()


def _by_hand(frames: int) -> str:
    are, it = ("1 frame that was", "it") if frames == 1 else (f"{frames} frames that were", "them")
    return (
        f"{are} carried, filled in or imported {'stays' if frames == 1 else 'stay'}; “This frame” predicts {it} anew."
    )
