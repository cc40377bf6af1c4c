"""Prediction off the GUI thread: one persistent thread owns the model; only plain data leaves it.

Every request has a generation number. What arrives for an older generation than the newest is to be ignored: the
person has cancelled, or asked for something else, in the meantime.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.cine.loop import CineLoop
from m2dino.tasks import Task
from qtpy.QtCore import QObject, Signal

from napari_m2dino.background import BackgroundThread
from napari_m2dino.errors import explain
from napari_m2dino.torch_import import keep_triton_out

if TYPE_CHECKING:
    from m2dino.data.cropping import Region
    from m2dino.predictor import Model

BATCH = 4


@dataclass(frozen=True)
class Request:
    """What to predict: some frames of a loop, or a region of them, for a task, with a checkpoint."""

    generation: int
    loop: CineLoop
    task: Task
    checkpoint: Path
    frames: tuple[int, ...]
    region: Region | None = None


@dataclass(frozen=True)
class Progress:
    """How far a request is; `eta_s` is None until it can be told."""

    generation: int
    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True)
class Outcome:
    """How a request ended: `message` is empty unless something is to be said."""

    generation: int
    predicted: int
    cancelled: bool
    failed: bool
    message: str = ""
    seconds: float = 0.0


class PredictionJobs(QObject):
    """The prediction thread and its post box.

    Signals
    -------
    model_ready : (checkpoint path as text, device in words)
    model_failed : (checkpoint path as text, sentence)
    predicted : (generation, Prediction)
    told : (generation, frame, Insight or None, Shape), before the prediction of that frame
    progressed : Progress
    ended : Outcome
    """

    model_ready = Signal(str, str)
    model_failed = Signal(str, str)
    predicted = Signal(int, object)
    told = Signal(int, int, object, object)
    progressed = Signal(object)
    ended = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._thread = BackgroundThread("m2dino prediction")
        self._cancelled = threading.Event()
        self._model: tuple[Path, Model] | None = None
        self.generation = 0

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.alive

    def warm_up(self, checkpoint: Path) -> None:
        """Load a checkpoint ahead of the first prediction."""
        self._thread.submit(lambda: self._load_reporting(checkpoint))

    def in_turn(self, job: Callable[[], None]) -> None:
        """Do something in this thread, where PyTorch is loaded: before or after that, never meanwhile."""
        self._thread.submit(job)

    def start(
        self, loop: CineLoop, task: Task, checkpoint: Path, frames: tuple[int, ...], region: Region | None = None
    ) -> int:
        """Queue a prediction, cancelling the one before; return its generation."""
        self.cancel()
        self.generation += 1
        self._cancelled = threading.Event()
        request, cancelled = Request(self.generation, loop, task, checkpoint, frames, region), self._cancelled
        self._thread.submit(lambda: self._predict(request, cancelled))
        return self.generation

    def cancel(self) -> None:
        """Ask the running prediction to end; it does so within a batch."""
        self._cancelled.set()

    def stop(self, timeout_s: float = 0.5) -> bool:
        """End the thread; return whether it ended in time. One that is loading PyTorch takes longer: nobody waits."""
        self.generation += 1
        self.cancel()
        return self._thread.stop(timeout_s)

    # -- in the thread -----------------------------------------------------------------------------------------------
    def _send(self, signal: str, *values: object) -> None:
        try:
            getattr(self, signal).emit(*values)
        except RuntimeError:
            # The window went while we worked: nobody is left to tell.
            self._cancelled.set()

    def _load(self, checkpoint: Path) -> Model:
        if self._model is None or self._model[0] != checkpoint:
            self._model = None  # let go of the old weights before the new ones come
            keep_triton_out()
            from m2dino.predictor import load_model

            model = load_model(checkpoint)
            self._model = (checkpoint, model)
        # Told also where it was loaded already: whoever asks has forgotten what it runs on.
        self._send("model_ready", str(checkpoint), self._model[1].device_text)
        return self._model[1]

    def _load_reporting(self, checkpoint: Path) -> None:
        try:
            self._load(checkpoint)
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: whatever it is, a person is told
            self._send("model_failed", str(checkpoint), explain(error, "loading the model"))

    def _predict(self, request: Request, cancelled: threading.Event) -> None:
        began, done, notes = time.monotonic(), 0, list[str]()

        def should_stop() -> bool:
            return cancelled.is_set() or self._thread.stopping

        failed = False
        try:
            if not should_stop():
                model = self._load(request.checkpoint)
                began = time.monotonic()
                for done in self._run(request, model, should_stop, notes):
                    spent = time.monotonic() - began
                    left = spent / done * (len(request.frames) - done) if spent > 0.5 or done > BATCH else None
                    self._send("progressed", Progress(request.generation, done, len(request.frames), left))
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: whatever it is, a person is told
            failed = True
            notes = [explain(error, "predicting")]
        text = notes[0] if len(notes) == 1 else f"{notes[0]} ({len(notes)} frames in all)" if notes else ""
        stopped = should_stop() and done < len(request.frames)
        predicted = max(done - len(notes), 0) if not failed else done
        self._send("ended", Outcome(request.generation, predicted, stopped, failed, text, time.monotonic() - began))

    def _run(self, request: Request, model: Model, should_stop: Callable[[], bool], notes: list[str]) -> Iterator[int]:
        """Predict frame after frame, passing over damaged ones; yield how many frames are done."""
        from m2dino.predictor import predict
        from m2dino.queueing.insight import Insight
        from m2dino.queueing.jumps import shape_of

        insights: dict[int, Insight] = {}

        predictions = predict(
            request.loop,
            task=request.task,
            model=model,
            frames=request.frames,
            region=request.region,
            batch_size=BATCH,
            should_stop=should_stop,
            on_bad_frame=lambda _frame, error: notes.append(str(error)),
            on_insight=lambda insight: insights.update({insight.frame: insight}),
        )
        for predicted, prediction in enumerate(predictions, start=1):
            frame = prediction.frame
            self._send("told", request.generation, frame, insights.pop(frame, None), shape_of(prediction.value))
            self._send("predicted", request.generation, prediction)
            yield predicted + len(notes)
