"""Improve: fine-tuning on the frames a person has decided on, in a child process, and the model that comes of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_m2dino.autosave import Autosave
from napari_m2dino.checkpoints import folder_of
from napari_m2dino.desk import Desk
from napari_m2dino.reviewing import Reviewing
from napari_m2dino.training_process import Job, TrainingProcess

LEAST_FRAMES = 4


@dataclass
class Run:
    """What is known of the training under way, or of the last one.

    Attributes
    ----------
    task_id : str
    losses : list of (float, float)
        (epoch, loss) pairs so far.
    metric : list of (float, str, float)
        (epoch, name, value) of the held-out figure so far.
    text, plan : str
        What it does now, and how many frames are trained on and held out.
    eta_s : float or None
    before, after : dict
        {task: {metric: {value, low, high}}}; empty until it has finished.
    """

    task_id: str
    base: Path
    losses: list[tuple[float, float]] = field(default_factory=list)
    metric: list[tuple[float, str, float]] = field(default_factory=list)
    text: str = "Starting…"
    plan: str = ""
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: bool = False


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

    def __init__(self, desk: Desk, reviewing: Reviewing, autosave: Autosave, process: TrainingProcess) -> None:
        super().__init__()
        self.desk = desk
        self.reviewing = reviewing
        self.autosave = autosave
        self.process = process
        self.run: Run | None = None
        self.running = False
        self.stopping = False
        self._job: Job | None = None
        self._ready.connect(self._launch)
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
        if self.autosave.waiting:
            return "Some frames are not saved yet."
        if self.frames < LEAST_FRAMES:
            more = LEAST_FRAMES - self.frames
            frames = f"{more} more frame{'s' if more > 1 else ''}"
            return f"Accept or correct {frames}: {LEAST_FRAMES} are the least to learn from."
        return ""

    def start(self) -> None:
        """Start fine-tuning the model in use on all decided frames of the task."""
        if self.running:
            return
        if trouble := self.obstacle():
            self.desk.tell(trouble, "warning")
            return
        assert self.desk.task is not None
        assert self.desk.checkpoint is not None
        task, base, dataset = self.desk.task, self.desk.checkpoint.path, self.autosave.folder
        output = folder_of(dataset) / f"{task.id}-{time.strftime('%Y%m%d-%H%M%S')}.safetensors"
        self._job = Job(dataset, task.id, base, output)
        self.run = Run(task.id, base)
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

    def go_back(self) -> None:
        """Choose the model again that the last training started from."""
        if self.run is None:
            return
        base = next((one for one in self.desk.checkpoints if one.path == self.run.base), None)
        if base is not None:
            self.desk.choose_checkpoint(base)
            self.desk.tell(f"Back to {base.title}; the fine-tuned model stays in the list.")

    def close(self) -> None:
        """End the child at once, for the window closes."""
        self.running = False
        self.process.abandon()

    def _launch(self) -> None:
        if self.running and self._job is not None and not self.process.running:
            if self.stopping:
                self._failed("Stopped before it began.")
                return
            self.process.start(self._job)

    def _event(self, event: dict[str, Any]) -> None:
        run = self.run
        if run is None:
            return
        if event["event"] == "started":
            train, heldout = event.get("train", "?"), event.get("heldout", "?")
            run.plan = f"Training on {train} frames; {heldout} held out to measure it"
            run.text = run.plan
        elif event["event"] == "progress":
            run.done, run.total = int(event.get("done", 0)), int(event.get("total", 0))
            run.eta_s = event.get("eta_s")
            if not run.losses and event.get("loss") is None:
                run.text = str(event.get("text", ""))
            epoch = float(event.get("epoch") or run.done)
            if event.get("loss") is not None:
                run.text = run.plan
                run.losses.append((epoch, float(event["loss"])))
            if metric := event.get("metric"):
                run.metric.append((epoch, str(metric["name"]), float(metric["value"])))
        self.changed.emit()

    def _finished(self, event: dict[str, Any]) -> None:
        self.running = False
        if self.run is not None:
            self.run.before, self.run.after = event.get("before") or {}, event.get("after") or {}
            self.run.seconds, self.run.stopped = float(event.get("seconds", 0)), bool(event.get("stopped"))
        self.changed.emit()
        self.trained.emit(str(event.get("checkpoint", "")))

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
