"""The training loop: one task a batch, AdamW, cosine, moving average; it can stop and go on anywhere."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader

from m2dino.data.samples import LabelledFrames, Sample, SampleKey, collate
from m2dino.device import choose_device, has_bfloat16
from m2dino.errors import TrainingError
from m2dino.network.model import M2Dino
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.training.losses import loss_of
from m2dino.training.sampling import TaskSampler
from m2dino.training.settings import TrainSettings
from m2dino.training.state import load_state, read_about, save_state

SAVE_EVERY_S = 120.0
BAD_STEPS = 10


@dataclass(frozen=True)
class TrainResult:
    """What became of a run.

    Attributes
    ----------
    steps : int
    seconds : float
        Time spent in training, over all its parts.
    stopped : bool
        Whether it was stopped before its end.
    losses : dict of str to float
        Mean loss of each task over its last batches.
    """

    steps: int
    seconds: float
    stopped: bool
    losses: dict[str, float]


def make_fabric(device: str = "auto") -> Fabric:
    """Return a Fabric on one device, with bfloat16 where the hardware has it."""
    chosen = choose_device(device)
    # It writes its choice of precision to stderr by a handler of its own.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed" if has_bfloat16(chosen) else "32-true"
    devices: list[int] | int = [chosen.index or 0] if chosen.type == "cuda" else 1
    return Fabric(accelerator=chosen.type, devices=devices, precision=precision)


def parameter_groups(net: M2Dino, settings: TrainSettings) -> list[dict[str, object]]:
    """Split the trainable parameters by learning rate, and by whether they decay (matrices only)."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            rate = settings.encoder_lr if name.startswith("backbone.") else settings.head_lr
            decays = parameter.ndim > 1 and not name.startswith("embeddings.")
            groups.setdefault((rate, decays), []).append(parameter)
    return [
        {"params": group, "lr": rate, "peak": rate, "weight_decay": settings.weight_decay if decays else 0.0}
        for (rate, decays), group in groups.items()
    ]


def schedule(fraction: float, warmup: float) -> float:
    """Factor of the learning rate after `fraction` of the run: linear rise, then a cosine to 1 %."""
    if fraction < warmup:
        return max(fraction / warmup, 0.01)
    rest = min((fraction - warmup) / (1 - warmup), 1.0)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * rest))


class _Clock:
    """How far a run is: by steps, or by seconds where its length is given in minutes."""

    def __init__(self, settings: TrainSettings, rows: int, step: int, seconds: float) -> None:
        self.minutes = settings.minutes
        self.steps = math.ceil((settings.epochs or 0) * rows / settings.batch_size) if settings.epochs else None
        self.step, self.before, self.start = step, seconds, time.monotonic()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.start

    @property
    def fraction(self) -> float:
        done = self.step / self.steps if self.steps else self.seconds / (60 * (self.minutes or 1))
        return min(done, 1.0)

    @property
    def remaining(self) -> float:
        fraction = self.fraction
        return self.seconds * (1 - fraction) / fraction if fraction else math.inf


def _leave_interrupts_to_the_parent(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Steps:
    """An endless sampler for the DataLoader: the keys of each step's batch."""

    def __init__(self, sampler: TaskSampler, first: int, last: int) -> None:
        self.sampler, self.first, self.last = sampler, first, last

    def __iter__(self) -> Iterator[list[SampleKey]]:
        return (list(batch.keys) for batch in self.sampler.batches(self.first, self.last))


def train(
    net: M2Dino,
    frames: LabelledFrames,
    settings: TrainSettings,
    *,
    device: str = "auto",
    workers: int = 1,
    state_file: Path | None = None,
    signature: str = "",
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
    on_step: Callable[[int, str, float], None] | None = None,
    shares: Mapping[str, float] | None = None,
) -> TrainResult:
    """Train a network in place; on return it holds the moving average of its weights.

    Parameters
    ----------
    net : M2Dino
        Knows every task in `frames`. Parameters with `requires_grad` False stay as they are.
    frames : LabelledFrames
        Training rows only.
    settings : TrainSettings
    device : str
    workers : int
        Processes that decode and augment; 0 does it in this one.
    state_file : Path, optional
        Where the run's state is kept every two minutes and on a stop. If it exists, the run goes on from there.
    signature : str
        Of the data; a state of another signature is refused.
    on_progress : callable
        `(done, total, text)` with `done` of `total` thousandths of the run.
    should_stop : callable
    on_step : callable, optional
        `(step, task_id, loss)` after every step.
    shares : mapping of str to float, optional
        Fixed shares of the batches for some tasks.

    Raises
    ------
    TrainingError
        A task's loss was not finite ten times in a row, or the state file does not fit.
    """
    rows_of_task: dict[str, list[int]] = {}
    for index, row in enumerate(frames.rows):
        rows_of_task.setdefault(row.task_id, []).append(index)
    sampler = TaskSampler(rows_of_task, settings.batch_size, settings.seed, settings.alpha, shares)

    named = {name: p for name, p in net.named_parameters() if p.requires_grad}
    fabric = make_fabric(device)
    optimizer = AdamW(parameter_groups(net, settings))
    module, wrapped = fabric.setup(net, optimizer)
    weights: dict[str, Tensor] = {name: parameter.detach() for name, parameter in named.items()}
    average = {name: parameter.detach().clone() for name, parameter in named.items()}

    step, seconds = 0, 0.0
    if state_file is not None and state_file.exists():
        about = read_about(state_file)
        if about.get("signature") != signature or about.get("settings") != settings.to_dict():
            raise TrainingError(
                f"{state_file}: an interrupted run with other data or settings lies there; repeat its command to "
                "finish it, or start anew with --restart."
            )
        load_state(state_file, weights, average, optimizer)
        step, seconds = int(about["step"]), float(about["seconds"])

    clock = _Clock(settings, len(frames), step, seconds)
    loader = DataLoader(
        frames,
        batch_sampler=_Steps(sampler, step, clock.steps or 2**31),
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=3 if workers else None,
        worker_init_fn=_leave_interrupts_to_the_parent,
    )
    losses: dict[str, float] = {}
    bad: dict[str, int] = {}
    saved, stopped = time.monotonic(), False

    def save() -> None:
        # A state that holds a NaN is worth less than the one before it.
        if state_file is not None and all(bool(value.isfinite().all()) for value in weights.values()):
            about = {
                "step": clock.step,
                "seconds": clock.seconds,
                "signature": signature,
                "settings": settings.to_dict(),
            }
            save_state(state_file, weights, average, optimizer, about)

    module.train()
    batches = iter(loader)
    while clock.fraction < 1:
        if should_stop():
            stopped = True
            break
        try:
            sample: Sample = next(batches)
        except RuntimeError:
            # A signal to the whole process group ends the workers first: that is a stop, not a failure.
            if not should_stop():
                raise
            stopped = True
            break
        task_id = sampler.batch(clock.step).task_id
        # Dropout draws from the global generator: seeded by the step, a resumed run equals an unbroken one.
        torch.manual_seed(settings.seed * 1_000_003 + clock.step)
        factor = schedule(clock.fraction, settings.warmup)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        images, target = fabric.to_device((sample.image, sample.target))
        loss = loss_of(module(net.normalise(images), task_id), target)
        value = float(loss.detach())
        good = math.isfinite(value)
        if good:
            fabric.backward(loss)
            # A task's own parameters get no gradient from another task's batch: AdamW then leaves them alone.
            norm = fabric.clip_gradients(module, wrapped, max_norm=settings.clip, error_if_nonfinite=False)
            good = norm is None or bool(norm.isfinite())
        if good:
            wrapped.step()
            bad[task_id] = 0
            losses[task_id] = 0.9 * losses.get(task_id, value) + 0.1 * value
            decay = min(settings.ema, (1 + clock.step) / (10 + clock.step))
            for name, parameter in named.items():
                average[name].lerp_(parameter.detach(), 1 - decay)
        else:
            bad[task_id] = bad.get(task_id, 0) + 1
            if bad[task_id] >= BAD_STEPS:
                save()
                raise TrainingError(
                    f"The loss of {task_id} was not a number {BAD_STEPS} times in a row; the last good state was kept. "
                    "Check its labels, or leave it out."
                )
        optimizer.zero_grad(set_to_none=True)
        clock.step += 1
        if on_step is not None:
            on_step(clock.step, task_id, value)
        mean = sum(losses.values()) / max(len(losses), 1)
        text = f"step {clock.step} · loss {mean:.3f} · {_duration(clock.remaining)} left"
        on_progress(round(1000 * clock.fraction), 1000, text)
        if time.monotonic() - saved > SAVE_EVERY_S:
            save()
            saved = time.monotonic()
    if stopped:
        save()
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(average[name])
    net.eval()
    return TrainResult(clock.step, clock.seconds, stopped, losses)


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "time unknown"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
