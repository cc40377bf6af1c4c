"""The shared form of fine-tuning: experts, gates and decoder learn too, while the other tasks are replayed.

Half of the batches are the person's corrections, half are labelled data of the base's other tasks (see `replay`).
Without them the other tasks would be forgotten unseen, so the form refuses to run; every replayed task is scored on
held-out pictures before and after, and one of which there are none is named as not measured.
"""

from __future__ import annotations

from m2dino.data.samples import CorrectedFrame, LabelledFrames
from m2dino.data.store import Store
from m2dino.predictor import Model
from m2dino.progress import ShouldStop
from m2dino.training.corrections import Corrections
from m2dino.training.finetune_common import (
    FinetuneProgress,
    FinetuneSettings,
    OnFinetuneProgress,
)
from m2dino.training.loop import TrainResult, train
from m2dino.training.replay import Replay
from m2dino.training.settings import TrainSettings

OWN_SHARE = 0.5
LR = 3e-4


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
        The loss was not a number.
    """
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
    steps = settings.steps_for(len(data.train)) * (2 if replay.train else 1)

    def show(done: int, total: int, text: str) -> None:
        on_progress(FinetuneProgress(done, total, text))

    return train(
        net,
        frames,
        TrainSettings(
            epochs=steps * settings.batch / len(frames),
            batch_size=settings.batch,
            encoder_lr=settings.lr or LR,
            head_lr=settings.lr or LR,
            ema=settings.ema,
            co_labelled=False,
            checks=0,
            seed=settings.seed,
        ),
        device=device,
        workers=0,
        shares={data.task.id: OWN_SHARE} if replay.train else None,
        on_progress=show,
        should_stop=should_stop,
    )
