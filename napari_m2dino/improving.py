"""Improve: fine-tuning on the frames a person has decided on, in a child process, and the model that comes of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from m2dino.errors import M2DinoError
from m2dino.lineage import checkpoint_folder
from m2dino.training.comparison_report import Report, read_report
from m2dino.training.finetune_settings import Form
from qtpy.QtCore import QObject, Signal

from napari_m2dino.autosave import Autosave
from napari_m2dino.desk import Desk
from napari_m2dino.errand import Ending, Errand
from napari_m2dino.foresight import Foresight
from napari_m2dino.loop_search import lost_pictures
from napari_m2dino.promoting import Promoting
from napari_m2dino.reviewing import Reviewing
from napari_m2dino.training_process import Job, TrainingProcess, report_folder
from napari_m2dino.training_run import Run

LEAST_FRAMES = 4


class Improving(QObject):
    """Fine-tuning as the dock drives it.

    Signals
    -------
    changed : something shown in the section may have changed
    began : a training was started
    trained : path of the new checkpoint, as text
    """

    changed = Signal()
    began = Signal()
    trained = Signal(str)
    _ready = Signal()
    _reported = Signal(object, object)

    def __init__(
        self,
        desk: Desk,
        reviewing: Reviewing,
        autosave: Autosave,
        process: TrainingProcess,
        foresight: Foresight,
        promoting: Promoting,
    ) -> None:
        super().__init__()
        self.foresight = foresight
        self.promoting = promoting
        self._sought: Path | None = None
        self._dataset = autosave.folder
        self.desk = desk
        self.reviewing = reviewing
        self.autosave = autosave
        self.process = process
        self.run: Run | None = None
        self.running = False
        self.stopping = False
        self._job: Job | None = None
        self._looking = Errand("m2dino looking for loops")
        self._looking.changed.connect(self.changed)
        self._looking.ended.connect(self._looked)
        self._ready.connect(self._launch)
        self._reported.connect(self._take_report)
        foresight.changed.connect(self.changed)
        promoting.changed.connect(self._seek)
        desk.session_changed.connect(self._seek)
        process.reported.connect(self._event)
        process.finished.connect(self._finished)
        process.failed.connect(self._failed)
        reviewing.changed.connect(self.changed)
        desk.checkpoint_changed.connect(self.changed)

    @property
    def frames(self) -> int:
        """How many frames of the task are ready to train on."""
        holdings = self.reviewing.holdings
        return holdings.training if holdings else 0

    def obstacle(self) -> str:
        """Return why fine-tuning cannot start now, in a sentence; empty if it can."""
        if self.desk.task is None:
            return "Choose a task first."
        if self.desk.checkpoint is None:
            return "No model to start from: open a checkpoint file."
        if self.autosave.under_way:
            return "Some frames are not saved yet."
        if self.frames < LEAST_FRAMES:
            more = LEAST_FRAMES - self.frames
            frames = f"{more} more frame{'s' if more > 1 else ''}"
            return f"Accept or correct {frames}: {LEAST_FRAMES} are the least to learn from."
        found = self.foresight.found
        return found.trouble if found else ""

    @property
    def form(self) -> Form:
        """How the task is to learn: alone (isolated), or together with tasks that are replayed (shared)."""
        return self.foresight.form

    @property
    def base(self) -> Path:
        """The checkpoint to start from, also where nothing is foreseen yet of the frames accepted a moment ago."""
        assert self.desk.task is not None
        assert self.desk.checkpoint is not None
        if (found := self.foresight.found) is not None:
            return found.base
        start = self.promoting.line.start_for(self.desk.task.id, self.desk.checkpoint.card.id)
        return self.desk.checkpoint.path if start is None else start.file

    @property
    def pictures_lost(self) -> bool:
        """Whether pictures have gone from the dataset folder, which their loops would bring back."""
        found = self.foresight.found
        return found is not None and found.lost

    @property
    def looking(self) -> bool:
        """Whether lost pictures are being looked for."""
        return self._looking.running

    @property
    def plan(self) -> str:
        """What pressing the button would do, in a sentence; empty while it is not known."""
        found = self.foresight.found
        if found is None or found.estimate is None:
            return ""
        told = " ".join([f"Will {found.estimate.text}.", *found.estimate.cautions])
        assert self.desk.checkpoint is not None
        if found.base != self.desk.checkpoint.path:
            told += f" Starts from {found.base.stem}, on all your frames, not from the last model."
        return told

    @property
    def advice(self) -> str:
        """Which form and which tasks together are advised, with the reason; empty while it is not known."""
        found = self.foresight.found
        return found.advice if found else ""

    def look_in(self, folder: Path) -> None:
        """Look for the loops of lost pictures below a folder, by their content, and bring the pictures back."""
        if not self.running:
            self._looking.start(lost_pictures(self.autosave.folder, folder), "looking for the loops")

    def _looked(self, ending: Ending) -> None:
        if ending.trouble:
            self.desk.tell(ending.trouble, "error")
        elif not ending.cancelled:
            self.desk.tell(ending.result.text(), "warning" if ending.result.missing else "good")
        self.foresight.ask_again()

    def start(self) -> None:
        """Start fine-tuning the model in use on all decided frames of the task."""
        if self.running:
            return
        if trouble := self.obstacle():
            self.desk.tell(trouble, "warning")
            return
        assert self.desk.task is not None
        task, base, dataset = self.desk.task, self.base, self.autosave.folder
        output = checkpoint_folder(dataset) / f"{task.id}-{time.strftime('%Y%m%d-%H%M%S')}.safetensors"
        self._job = Job(dataset, task.id, base, output, self.form, self.foresight.replay)
        self.run = Run(task.id, base, frames=self.frames)
        self.running, self.stopping = True, False
        # What was accepted a moment ago is on the disk before the child looks there.
        self.began.emit()
        self.autosave.after_all(_then(self._ready.emit, output.parent))
        self.changed.emit()

    def stop(self) -> None:
        """End the training soon; its best state so far is kept, if it has one."""
        if self.running:
            self.stopping = True
            self.process.stop()
            self.changed.emit()

    def close(self) -> None:
        """End the child at once, for the window closes."""
        self.running = False
        self._looking.close(0.2)
        self.process.abandon()

    def _launch(self) -> None:
        if self.running and self._job is not None and not self.process.running:
            if self.stopping:
                self._failed("Stopped before it began.")
                return
            self.process.start(self._job)

    def _event(self, event: dict[str, Any]) -> None:
        if self.run is not None:
            self.run.hear(event)
            self.changed.emit()

    def _finished(self, event: dict[str, Any]) -> None:
        self.running = False
        run = self.run
        if run is None:
            return
        run.end(event)
        if run.checkpoint is not None:
            self._sought = run.checkpoint
        if run.report_folder is not None:
            self.autosave.after_all(self._reading(run.report_folder, lambda report: run))
        self.changed.emit()
        self.trained.emit(str(event.get("checkpoint", "")))
        self.foresight.ask_again()

    def _seek(self) -> None:
        """Show the outcome of the task's newest training that nothing was decided on yet."""
        task = self.desk.task
        if self.running or task is None:
            return
        if self._dataset != self.autosave.folder:  # what is shown is of the folder that was left
            self._dataset, self.run, self._sought = self.autosave.folder, None, None
            self.changed.emit()
        if self.run is not None and self.run.task_id == task.id:
            return
        model = self.promoting.undecided(task.id)
        if model is not None and model.file != self._sought:
            self._sought = model.file
            folder = report_folder(model.file)
            self.autosave.after_all(self._reading(folder, partial(Run.earlier, model, folder=folder)))

    def _reading(self, folder: Path, whose: Callable[[Report], Run]) -> Callable[[], None]:
        """Return a job that reads a report; where that fails there are no pictures, and the figures stay."""

        def job() -> None:
            with contextlib.suppress(M2DinoError, RuntimeError):
                report = read_report(folder)
                self._reported.emit(whose(report), report)

        return job

    def _take_report(self, run: Run, report: Report) -> None:
        if self.running and run is not self.run:
            return
        run.report, self.run = report, run
        self.changed.emit()

    def _failed(self, message: str) -> None:
        stopped, self.running, self.run = self.stopping, False, None
        if stopped:
            self.desk.tell("Training stopped: nothing was kept, the model in use is unchanged.")
        else:
            self.desk.tell(message, "error")
        self.changed.emit()


def _then(call: Callable[[], None], folder: Path) -> Callable[[], None]:
    """Return a job that makes the folder of checkpoints and calls back; where that fails, the child says so."""

    def job() -> None:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        # RuntimeError: the window went meanwhile.
        with contextlib.suppress(RuntimeError):
            call()

    return job
