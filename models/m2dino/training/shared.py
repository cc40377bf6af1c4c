"""The shared form of fine-tuning: experts, gates and decoder learn too, while the other tasks are replayed.

Half of the batches are the person's corrections, half are labelled data of the base's other tasks (see `replay`).
Without them the other tasks would be forgotten unseen, so the form refuses to run; every replayed task is scored on
held-out pictures before and after, and one of which there are none is named as not measured.
"""

from __future__ import annotations

import math
import time

from m2dino.data.samples import CorrectedFrame, LabelledFrames
from m2dino.data.store import Store
from m2dino.errors import TrainingError
from m2dino.predictor import Model
from m2dino.progress import ShouldStop
from m2dino.tasks import Task
from m2dino.training.checks import Check
from m2dino.training.corrections import Corrections
from m2dino.training.finetune_common import FinetuneProgress, FinetuneSettings, OnFinetuneProgress, running_mean
from m2dino.training.loop import TrainResult, train
from m2dino.training.pictures import STOPPED
from m2dino.training.replay import Replay
from m2dino.training.settings import TrainSettings

OWN_SHARE = 0.5
LR = 3e-4
SCORE = "score"
"""What the figure on the way is called: from 0 to 1, as training scores a task (see `scores`)."""


def learn_shared(
    model: Model,
    store: Store,
    data: Corrections,
    replay: Replay,
    settings: FinetuneSettings,
    device: str,
    on_progress: OnFinetuneProgress,
    should_stop: ShouldStop,
) -> TrainResult:
    """Train all but the task-free half of the network, in place.

    Raises
    ------
    TrainingError
        Stopped before the first step, the loss was not a number, or not even one picture fits into the memory.
    """
    if should_stop():
        raise TrainingError(STOPPED)
    net = model.net
    net.requires_grad_(True)
    # The task-free half stays: it serves every task, replayed or not.
    net.backbone.vit.requires_grad_(False)
    for beside in (net.detail, net.stem):
        if beside is not None:
            beside.requires_grad_(False)
    tasks = {**replay.tasks, data.task.id: data.task}
    frames = LabelledFrames(
        [*(CorrectedFrame(store, record) for record in data.train), *replay.train], tasks, model.size
    )
    # As many batches as the isolated form gives the task, and as many of the others.
    own_steps = settings.steps_for(len(data.train), "shared", known=True)
    steps = own_steps * (2 if replay.train else 1)
    teller = _Teller(data.task.id, own_steps, on_progress)
    result = train(
        net,
        frames,
        TrainSettings(
            epochs=steps * settings.batch / len(frames),
            batch_size=settings.batch,
            encoder_lr=settings.lr or LR,
            head_lr=settings.lr or LR,
            ema=settings.ema,
            co_labelled=False,
            checks=settings.checks,
            seed=settings.seed,
        ),
        device=device,
        workers=0,
        shares={data.task.id: OWN_SHARE} if replay.train else None,
        held_out=_held_out(store, data, replay, tasks, model.size),
        on_progress=teller.progress,
        should_stop=should_stop,
        on_step=teller.step,
        on_check=teller.check,
    )
    if not result.steps:
        raise TrainingError(STOPPED)
    return result


def _held_out(store: Store, data: Corrections, replay: Replay, tasks: dict[str, Task], size: int) -> LabelledFrames:
    """Return what states are scored on: the held-out frames of all tasks, so that the best serves all of them."""
    corrected = [data, *replay.corrected.values()]
    records = [CorrectedFrame(store, record) for one in corrected for record in one.heldout]
    return LabelledFrames([*records, *replay.val], tasks, size)


class _Teller:
    """Tells of a training as a fine-tune tells of itself: in steps of the task at hand, with its own loss."""

    def __init__(self, task_id: str, steps: int, on_progress: OnFinetuneProgress) -> None:
        self.task_id, self.steps, self.on_progress = task_id, steps, on_progress
        self.loss: float | None = None
        self.metric: tuple[str, float] | None = None
        self.began = time.monotonic()

    def step(self, _step: int, task_id: str, loss: float) -> None:
        if task_id == self.task_id and math.isfinite(loss):
            self.loss = running_mean(self.loss, loss)

    def check(self, check: Check) -> None:
        if math.isfinite(score := check.tasks.get(self.task_id, math.nan)):
            self.metric = (SCORE, score)

    def progress(self, done: int, total: int, text: str) -> None:
        left = (time.monotonic() - self.began) / done * (total - done) if done else None
        told = FinetuneProgress(round(self.steps * done / total), self.steps, text, self.loss, self.metric, left)
        self.metric = None
        self.on_progress(told)
