"""Incremental training on a person's corrections, in the isolated form: no other task can change.

Only what the task owns learns: its embedding, its head, and an expert of its own in every mixture. All else is frozen,
so the task-free half of the network is run once per picture and kept, and every other task's output stays the same to
the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from m2dino.data.samples import Sample, SampleMaker, letterboxed
from m2dino.data.store import Store
from m2dino.device import choose_device, has_bfloat16
from m2dino.errors import TrainingError
from m2dino.metrics import Metric, score_task
from m2dino.network.backbone import Prefix
from m2dino.network.card import HEADLINE, ModelCard, TaskReport
from m2dino.network.checkpoint import load_checkpoint, save_checkpoint
from m2dino.predictor import Model, join_prefixes
from m2dino.progress import ShouldStop, never_stop
from m2dino.tasks import Task
from m2dino.training.corrections import Corrections, corrections
from m2dino.training.loop import schedule
from m2dino.training.losses import loss_of
from m2dino.training.run import metric_values

BATCH = 8


@dataclass(frozen=True)
class FinetuneSettings:
    """How long and how fast to learn; the defaults are meant for one click on two CPU cores.

    Attributes
    ----------
    steps : int
        Batches of 8.
    pictures : int
        Pictures to prepare: each corrected frame plain, and augmented as often as fits.
    lr : float
    ema : float
    checks : int
        How often the held-out frames are scored on the way.
    seed : int
    """

    steps: int = 120
    pictures: int = 160
    lr: float = 2e-3
    ema: float = 0.95
    checks: int = 8
    seed: int = 0


@dataclass(frozen=True)
class FinetuneProgress:
    """Where a fine-tune stands.

    Attributes
    ----------
    done, total : int
        Steps.
    text : str
    loss : float or None
        Mean over the last steps.
    metric : (str, float) or None
        Headline metric on the held-out frames, when it has just been measured.
    eta_s : float or None
        Seconds left.
    """

    done: int
    total: int
    text: str
    loss: float | None = None
    metric: tuple[str, float] | None = None
    eta_s: float | None = None


@dataclass(frozen=True)
class FinetuneResult:
    """What became of it.

    Attributes
    ----------
    card : ModelCard
    before, after : dict of str to Metric
        On the held-out frames; `before` is empty for a task that the base did not know.
    train, heldout, loops : int
    seconds : float
    stopped : bool
    """

    card: ModelCard
    before: dict[str, Metric]
    after: dict[str, Metric]
    train: int
    heldout: int
    loops: int
    seconds: float
    stopped: bool


def finetune(
    store: Store,
    task_id: str,
    base: Path,
    out: Path,
    *,
    settings: FinetuneSettings | None = None,
    device: str = "auto",
    on_start: Callable[[Corrections], None] = lambda data: None,
    on_progress: Callable[[FinetuneProgress], None] = lambda progress: None,
    should_stop: ShouldStop = never_stop,
) -> FinetuneResult:
    """Fine-tune one task of a checkpoint on a store's corrections and write a new checkpoint.

    Parameters
    ----------
    store : Store
    task_id : str
        May be a task that the base does not know: it then starts from nothing.
    base, out : Path
        Checkpoint to start from, which stays as it is, and the new one.
    settings : FinetuneSettings, optional
    device : str
    on_start, on_progress, should_stop : callables

    Raises
    ------
    TooLittleDataError
        Too few corrected frames.
    TrainingError
        Stopped before anything was learnt, or the loss was not a number.
    NotACheckpointError, CheckpointWriteError, StoreError
    """
    settings = settings or FinetuneSettings()
    start = time.monotonic()
    data = corrections(store, task_id)
    on_start(data)
    net, card = load_checkpoint(base)
    task, known = data.task, task_id in net.tasks
    if known:
        mine = net.tasks[task_id]
        if (mine.type, mine.num_classes) != (task.type, task.num_classes):
            raise TrainingError(
                f"{base}: it knows {task_id} as {mine.type} with {mine.num_classes} labels, the corrections are "
                f"{task.type} with {task.num_classes}; rename one of the two tasks."
            )
    torch.manual_seed(settings.seed)
    if not known:
        net.add_task(task)
    if not net.has_private_experts(task_id):
        net.add_private_experts(task_id)
    net.requires_grad_(False)
    own = list(net.own_parameters(task_id))
    for parameter in own:
        parameter.requires_grad_(True)
    chosen = choose_device(device)
    report = TaskReport(task, len(data.train), len(data.heldout))
    # A card that knows the task, so that the model under training can be asked for it.
    trial = Model(net, replace(card, tasks={**card.tasks, task_id: report}), chosen, base)

    before = _score(trial, store, data) if known else {}
    on_progress(FinetuneProgress(0, settings.steps, "looking at the corrected frames"))
    prefixes, targets = _prepare(trial, store, data, settings, should_stop)
    averages = [parameter.detach().clone() for parameter in own]
    best = _learn(trial, data, store, prefixes, targets, own, averages, settings, on_progress, should_stop)
    with torch.no_grad():
        for parameter, value in zip(own, best.weights, strict=True):
            parameter.copy_(value)
    after = _score(trial, store, data)
    report = replace(report, metrics=metric_values(after))
    card = replace(
        card,
        tasks={**card.tasks, task_id: report},
        parent_id=card.id,
        fingerprint=store.fingerprint(task_id),
        training={"form": "isolated", "task": task_id, "steps": best.steps, "seed": settings.seed},
    )
    card = save_checkpoint(net.cpu(), card, out)
    return FinetuneResult(
        card,
        before,
        after,
        len(data.train),
        len(data.heldout),
        data.loops,
        time.monotonic() - start,
        best.stopped,
    )


@dataclass
class _Best:
    weights: list[Tensor]
    steps: int
    stopped: bool


def _score(model: Model, store: Store, data: Corrections) -> dict[str, Metric]:
    """Official metrics on the held-out frames; empty where there are none."""
    if not data.heldout:
        return {}
    values = []
    for record in data.heldout:
        frame = store.frame(record.loop_id, record.frame)
        values.append(model.predict_frames([frame], data.task)[0].value)
    truths = [record.value for record in data.heldout if record.value is not None]
    return score_task(data.task, values, truths, [record.group or record.loop_id for record in data.heldout])


def _goodness(metrics: dict[str, Metric], task: Task) -> float:
    metric = metrics.get(HEADLINE[task.type])
    if metric is None or not np.isfinite(metric.value):
        return -np.inf
    return -metric.value if task.type == "regression" else metric.value


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
            raise TrainingError("Stopped before anything was learnt; no new checkpoint was made.")
        assert record.value is not None
        image, box = letterboxed(store.frame(record.loop_id, record.frame), model.size)
        seeds: Sequence[int | None] = [None, *rng.integers(0, 2**62, size=variants - 1).tolist()]
        samples: list[Sample] = [maker.make(image, box, record.value, data.task.id, seed) for seed in seeds]
        with _autocast(model):
            prefix = model.net.prefix(model.net.normalise(torch.stack([s.image for s in samples]).to(model.device)))
        prefixes.extend(split_prefix(prefix))
        targets.extend(sample.target for sample in samples)
    return prefixes, targets


def split_prefix(prefix: Prefix) -> list[Prefix]:
    """Split a batch of prefixes into one of each picture."""
    count = prefix.tokens.shape[0]
    return [
        Prefix(
            prefix.tokens[i : i + 1],
            tuple(tap[i : i + 1] for tap in prefix.taps),
            None if prefix.detail is None else prefix.detail[i : i + 1],
        )
        for i in range(count)
    ]


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
    on_progress: Callable[[FinetuneProgress], None],
    should_stop: ShouldStop,
) -> _Best:
    net, task_id, grid = model.net, data.task.id, (model.size // 16, model.size // 16)
    optimizer = AdamW(own, lr=settings.lr, weight_decay=0.01)
    rng = np.random.default_rng(settings.seed)
    check_every = max(1, settings.steps // settings.checks)
    best, best_score, loss_mean = _Best([], 0, False), -np.inf, None
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
                best, best_score = _Best([mean.clone() for mean in averages], step, False), score
        left = (time.monotonic() - start) / step * (settings.steps - step)
        text = f"step {step} / {settings.steps} · loss {loss_mean:.3f} · {left:.0f} s left"
        on_progress(FinetuneProgress(step, settings.steps, text, loss_mean, metric, left))
    head.eval()
    if not best.weights:
        raise TrainingError("Stopped before anything was learnt; no new checkpoint was made.")
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
    metrics = _score(model, store, data)
    head.train()
    for parameter, value in zip(own, kept, strict=True):
        parameter.copy_(value)
    name = HEADLINE[data.task.type]
    return _goodness(metrics, data.task), ((name, metrics[name].value) if name in metrics else None)
