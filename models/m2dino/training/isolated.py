"""The isolated form of fine-tuning: only what the task owns learns, so no other task can change.

Its embedding, its head, and an expert of its own in every mixture are trained. All else is frozen: the task-free half
of the network is run once per picture and kept, and every other task's output stays the same to the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from m2dino.data.samples import Sample, SampleMaker, letterboxed
from m2dino.data.store import Store
from m2dino.device import has_bfloat16
from m2dino.errors import TrainingError
from m2dino.network.backbone import Prefix
from m2dino.network.card import HEADLINE
from m2dino.predictor import Model, join_prefixes, split_prefix
from m2dino.progress import ShouldStop
from m2dino.training.corrections import Corrections
from m2dino.training.finetune_common import (
    BATCH,
    FinetuneProgress,
    FinetuneSettings,
    OnFinetuneProgress,
    goodness,
    score_heldout,
)
from m2dino.training.losses import loss_of
from m2dino.training.parameters import schedule

STOPPED = "Stopped before anything was learnt; no new checkpoint was made."


@dataclass
class Learnt:
    """The best weights of a run, and how it ended."""

    weights: list[Tensor]
    steps: int
    stopped: bool


def learn_isolated(
    model: Model,
    store: Store,
    data: Corrections,
    settings: FinetuneSettings,
    on_progress: OnFinetuneProgress,
    should_stop: ShouldStop,
) -> Learnt:
    """Train what the task owns, in place; on return the network holds its best state on the held-out frames.

    Raises
    ------
    TrainingError
        Stopped before the first check, or the loss was not a number.
    """
    net = model.net
    if not net.has_private_experts(data.task.id):
        net.add_private_experts(data.task.id)
        net.to(model.device)
    net.requires_grad_(False)
    own = list(net.own_parameters(data.task.id))
    for parameter in own:
        parameter.requires_grad_(True)
    on_progress(FinetuneProgress(0, settings.steps, "looking at the corrected frames"))
    prefixes, targets = _prepare(model, store, data, settings, should_stop)
    averages = [parameter.detach().clone() for parameter in own]
    best = _learn(model, data, store, prefixes, targets, own, averages, settings, on_progress, should_stop)
    with torch.no_grad():
        for parameter, value in zip(own, best.weights, strict=True):
            parameter.copy_(value)
    return best


@torch.no_grad()
def _prepare(
    model: Model, store: Store, data: Corrections, settings: FinetuneSettings, should_stop: ShouldStop
) -> tuple[list[Prefix], list[Tensor]]:
    """Run the frozen half once on every picture: each frame plain, then augmented as often as fits."""
    maker = SampleMaker({data.task.id: data.task}, model.size)
    variants = max(1, settings.pictures // len(data.train))
    rng = np.random.default_rng(settings.seed)
    prefixes: list[Prefix] = []
    targets: list[Tensor] = []
    for record in data.train:
        if should_stop():
            raise TrainingError(STOPPED)
        assert record.value is not None
        image, box = letterboxed(store.frame(record.loop_id, record.frame), model.size)
        seeds: Sequence[int | None] = [None, *rng.integers(0, 2**62, size=variants - 1).tolist()]
        samples: list[Sample] = [maker.make(image, box, record.value, data.task.id, seed) for seed in seeds]
        with _autocast(model):
            prefix = model.net.prefix(model.net.normalise(torch.stack([s.image for s in samples]).to(model.device)))
        prefixes.extend(split_prefix(prefix))
        targets.extend(sample.target for sample in samples)
    return prefixes, targets


def _autocast(model: Model) -> torch.autocast:
    return torch.autocast(model.device.type, torch.bfloat16, enabled=has_bfloat16(model.device))


def _learn(
    model: Model,
    data: Corrections,
    store: Store,
    prefixes: list[Prefix],
    targets: list[Tensor],
    own: list[torch.nn.Parameter],
    averages: list[Tensor],
    settings: FinetuneSettings,
    on_progress: OnFinetuneProgress,
    should_stop: ShouldStop,
) -> Learnt:
    net, task_id, grid = model.net, data.task.id, (model.size // 16, model.size // 16)
    optimizer = AdamW(own, lr=settings.lr, weight_decay=0.01)
    rng = np.random.default_rng(settings.seed)
    check_every = max(1, settings.steps // settings.checks)
    best, best_score, loss_mean = Learnt([], 0, False), -np.inf, None
    head = net.heads[net.key(task_id)].train()
    start = time.monotonic()
    for step in range(1, settings.steps + 1):
        if should_stop():
            best.stopped = True
            break
        chosen = rng.choice(len(prefixes), size=BATCH, replace=len(prefixes) < BATCH)
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * schedule(step / settings.steps, 0.1)
        with _autocast(model):
            output = net.from_prefix(join_prefixes([prefixes[i] for i in chosen]), grid, task_id)
        loss = loss_of(output, torch.stack([targets[i] for i in chosen]).to(model.device))
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError("The loss was not a number; no new checkpoint was made. Check the corrected frames.")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimizer.step()
        decay = min(settings.ema, step / (step + 5))
        for mean, parameter in zip(averages, own, strict=True):
            mean.lerp_(parameter.detach(), 1 - decay)
        loss_mean = value if loss_mean is None else 0.8 * loss_mean + 0.2 * value
        metric = None
        if step % check_every == 0 or step == settings.steps:
            score, metric = _check(model, data, store, own, averages, head)
            if score >= best_score or not best.weights:
                best, best_score = Learnt([mean.clone() for mean in averages], step, False), score
        left = (time.monotonic() - start) / step * (settings.steps - step)
        text = f"step {step} / {settings.steps} · loss {loss_mean:.3f} · {left:.0f} s left"
        on_progress(FinetuneProgress(step, settings.steps, text, loss_mean, metric, left))
    head.eval()
    if not best.weights:
        raise TrainingError(STOPPED)
    return best


@torch.no_grad()
def _check(
    model: Model,
    data: Corrections,
    store: Store,
    own: list[torch.nn.Parameter],
    averages: list[Tensor],
    head: torch.nn.Module,
) -> tuple[float, tuple[str, float] | None]:
    """Score the moving average on the held-out frames, and put the weights under training back."""
    kept = [parameter.detach().clone() for parameter in own]
    for parameter, mean in zip(own, averages, strict=True):
        parameter.copy_(mean)
    head.eval()
    metrics = score_heldout(model, store, data)
    head.train()
    for parameter, value in zip(own, kept, strict=True):
        parameter.copy_(value)
    name = HEADLINE[data.task.type]
    return goodness(metrics, data.task), ((name, metrics[name].value) if name in metrics else None)
