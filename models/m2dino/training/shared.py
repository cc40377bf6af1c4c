"""The shared form of fine-tuning: experts, gates and decoder learn too, while the other tasks are replayed.

Half of the batches are the person's corrections, half are labelled data of the base's other tasks. Without replay the
other tasks would be forgotten unseen, so the form refuses to run without it; every replayed task is scored on held-out
rows before and after, and one of which there are no rows is named as not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2dino.data.samples import CorrectedFrame, LabelledFrames
from m2dino.data.store import Store
from m2dino.evaluation import model_source, score_rows
from m2dino.network.card import ModelCard
from m2dino.predictor import Model
from m2dino.progress import ShouldStop, never_stop
from m2dino.scoring.task_scores import TaskScores
from m2dino.tasks import TaskRegistry
from m2dino.training.corrections import Corrections
from m2dino.training.data import TrainingData, gather
from m2dino.training.finetune_common import (
    FinetuneProgress,
    FinetuneSettings,
    OnFinetuneProgress,
)
from m2dino.training.loop import TrainResult, train
from m2dino.training.refusals import refuse_no_replay
from m2dino.training.settings import TrainSettings

OWN_SHARE = 0.5
LR = 3e-4
HELD_OUT = 0.2


def replay_data(card: ModelCard, task_id: str, roots: Sequence[Path]) -> TrainingData:
    """Return the rows to replay: those of the base's other tasks, divided by subject.

    Raises
    ------
    NothingToReplayError
        There is no data of any other task that the base knows.
    """
    others = [name for name in card.tasks if name != task_id]
    rows: TrainingData | None = None
    if roots:
        data = gather(roots, TaskRegistry(report.task for report in card.tasks.values()), val_fraction=HELD_OUT)
        rows = data.only([name for name in others if name in data.tasks])
    refuse_no_replay(card, task_id, rows is not None and bool(rows.train))
    return rows or TrainingData([], [], {})


def score_replay(
    model: Model, rows: TrainingData, on_progress: OnFinetuneProgress, should_stop: ShouldStop = never_stop
) -> dict[str, TaskScores]:
    """Score the model on the held-out rows of every replayed task; stopped, it returns those that were finished."""

    def show(done: int, total: int, text: str) -> None:
        on_progress(FinetuneProgress(0, 1, text))

    source = model_source(model, should_stop)
    return score_rows(source, rows.val, rows.tasks, on_progress=show, should_stop=should_stop)


def learn_shared(
    model: Model,
    store: Store,
    data: Corrections,
    rows: TrainingData,
    settings: FinetuneSettings,
    device: str,
    on_progress: OnFinetuneProgress,
    should_stop: ShouldStop,
) -> TrainResult:
    """Train all but the task-free half of the network, in place.

    Raises
    ------
    TrainingError
        The loss was not a number.
    """
    net = model.net
    net.requires_grad_(True)
    # The task-free half stays: it serves every task, replayed or not.
    net.backbone.vit.requires_grad_(False)
    for beside in (net.detail, net.stem):
        if beside is not None:
            beside.requires_grad_(False)
    tasks = {**rows.tasks, data.task.id: data.task}
    frames = LabelledFrames([*(CorrectedFrame(store, record) for record in data.train), *rows.train], tasks, model.size)
    # As many batches as the isolated form gives the task, and as many of the others.
    steps = settings.steps_for(len(data.train)) * (2 if rows.train else 1)

    def show(done: int, total: int, text: str) -> None:
        on_progress(FinetuneProgress(done, total, text))

    return train(
        net,
        frames,
        TrainSettings(
            epochs=steps * settings.batch / len(frames),
            batch_size=settings.batch,
            encoder_lr=LR,
            head_lr=LR,
            ema=settings.ema,
            co_labelled=False,
            checks=0,
            seed=settings.seed,
        ),
        device=device,
        workers=0,
        shares={data.task.id: OWN_SHARE} if rows.train else None,
        on_progress=show,
        should_stop=should_stop,
    )
