"""Carrying out one run of a study: an ordinary training, then its figures."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from m2dino.data.samples import LabelledFrames
from m2dino.device import choose_device
from m2dino.errors import (
    CheckpointError,
    CheckpointWriteError,
    DatasetError,
    M2DinoError,
    NotACheckpointError,
    TrainingError,
)
from m2dino.network.checkpoint import load_checkpoint
from m2dino.network.config import Architecture
from m2dino.predictor import Model
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.study.data import StudyData
from m2dino.study.figures import figures, gates
from m2dino.study.plan import Run
from m2dino.study.results import Result
from m2dino.training import run as training
from m2dino.training.data import TrainingData
from m2dino.training.sampling import sampler_of
from m2dino.training.settings import TrainSettings

ALPHA = 0.0
"""All tasks alike: the share of a task must not depend on which others it is pooled with."""


_KINDS: tuple[tuple[type[M2DinoError], str], ...] = (
    (DatasetError, "An image or a label could not be read."),
    (CheckpointWriteError, "The network could not be written."),
    (CheckpointError, "The network could not be read."),
    (TrainingError, "The training could not go on."),
)


@dataclass(frozen=True)
class How:
    """What does not change the result of a run by more than rounding.

    Attributes
    ----------
    start : Start
        What networks start from; its signature stands in each run.
    device : str
    workers : int
        Processes that decode and augment.
    """

    start: training.Start
    device: str = "auto"
    workers: int = 0


def settings(data: TrainingData, run: Run) -> TrainSettings:
    """Return the settings with which each task of a run is learnt in `run.steps` batches.

    No check on held-out rows chooses a state: a network of one task would be chosen for that task, one of all tasks for
    their mean, and the figures would not be of data that had no say.
    """
    labels = run.steps * run.batch_size * len(data.tasks)
    encoder_lr, layer_decay = TrainSettings.encoder_rates(run.start != "random")
    return TrainSettings(
        epochs=labels / len(data.train),
        batch_size=run.batch_size,
        encoder_lr=encoder_lr,
        layer_decay=layer_decay,
        alpha=ALPHA,
        checks=0,
        seed=run.seed,
    )


def execute(
    run: Run,
    data: StudyData,
    how: How,
    scratch: Path,
    *,
    look: Callable[[Model], None] = lambda model: None,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> Result | None:
    """Train and score one network; None if stopped, and a repetition goes on from there.

    A run that cannot be trained, such as one whose loss is no number, gives a result that says so: the rest of a study
    goes on without it. One that is not to blame itself, such as one whose data cannot be reached, keeps its state, too.

    Parameters
    ----------
    run : Run
    data : StudyData
    how : How
    scratch : Path
        Folder for the network while it is made; removed at the end.
    look : callable
        Called with the trained network before it is removed.
    on_progress, should_stop : callables
    """
    own = data.training(run)
    wanted, file = settings(own, run), scratch / "network.safetensors"
    architecture = Architecture.from_dict(run.architecture)
    try:
        # A stop while it was scored leaves it trained.
        card = training.finished(own, architecture, wanted, file, how.start)
        if card is None:
            card, made = training.run(
                own,
                architecture,
                wanted,
                file,
                start=how.start,
                device=how.device,
                workers=how.workers,
                on_progress=on_progress,
                should_stop=should_stop,
            )
            if made.stopped:
                return None
        started = time.monotonic()
        net, _ = load_checkpoint(file)
        model = Model(net, card, choose_device(how.device))
        held_out = data.held_out(run)
        found = figures(model, held_out, own.tasks, should_stop)
        if should_stop():
            return None
        look(model)
        used = gates(model.net, {task: rows for task, (rows, _) in held_out.items()}, model.device)
    except M2DinoError as error:
        if isinstance(error, TrainingError | NotACheckpointError):
            shutil.rmtree(scratch, ignore_errors=True)  # to go on from there would fail again
        return Result(run.id, failed=_kind(error), error=str(error), run=asdict(run))
    counts = data.counts(run.scale, run.seed)
    result = Result(
        run.id,
        figures=found,
        gates=used,
        rows={task: counts[task][0] for task in run.tasks},
        subjects={task: counts[task][1] for task in run.tasks},
        label_updates=_label_updates(own, run, card.training["steps"]),
        steps=card.training["steps"],
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        train_seconds=card.training["seconds"],
        score_seconds=round(time.monotonic() - started, 2),
        run=asdict(run),
    )
    shutil.rmtree(scratch, ignore_errors=True)
    return result


def _kind(error: M2DinoError) -> str:
    """Return what a report says of a failure: its own words where they lead to no file, else what kind it was."""
    if isinstance(error, TrainingError) and not any(sign in str(error) for sign in "/\\"):
        return str(error)
    return next((told for kind, told in _KINDS if isinstance(error, kind)), "The run could not be carried out.")


def _label_updates(data: TrainingData, run: Run, steps: int) -> dict[str, int]:
    """Count the labels of each task that the run's batches held: they follow from its seed alone."""
    drawn = sampler_of(LabelledFrames(data.train, data.tasks, 32), settings(data, run))
    counts = dict.fromkeys(run.tasks, 0)
    for batch in drawn.batches(0, steps):
        for task in batch.tasks:
            counts[task] += len(batch.keys)
    return counts
