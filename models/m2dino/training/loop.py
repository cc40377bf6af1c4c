"""The training loop: several tasks of the same images a step, AdamW, cosine, moving average; it can go on anywhere."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import AdamW
from torch.utils.data import DataLoader

from m2dino.data.row_values import label_value
from m2dino.data.rows import Row
from m2dino.data.samples import CorrectedFrame, GroupedFrames, GroupSample, LabelledFrames, collate_groups
from m2dino.errors import M2DinoError, TrainingError
from m2dino.network.checkpoint import read_tensors
from m2dino.network.model import M2Dino
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.training import processes
from m2dino.training.checks import Check, HeldOut, History, Pace, rows_per_task
from m2dino.training.clock import Clock, duration
from m2dino.training.coarse import coarse_side, shrunk
from m2dino.training.colabelled import DeepForward, SharedForward
from m2dino.training.halving import Halving, Indices
from m2dino.training.losses import alone, class_weights, deep_loss
from m2dino.training.parameters import parameter_groups, schedule
from m2dino.training.run_folder import RunFolder
from m2dino.training.sampling import Batch, Steps, rows_of_task, sampler_of
from m2dino.training.settings import TrainSettings
from m2dino.training.state import load_state, read_about, save_state
from m2dino.training.workers import leave_signals_to_the_parent, own_words, reading, told_if_lost
from m2dino.values import ClassProbabilities

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
        Whether it was stopped from outside before its end.
    losses : dict of str to float
        Mean loss of each task over its last batches.
    best : Check or None
        The scores of the state that was kept, where states were scored.
    early : bool
        Whether the run ended because its scores rose no more.
    left_out : int
        Steps that were left out because a loss was not a number.
    """

    steps: int
    seconds: float
    stopped: bool
    losses: dict[str, float]
    best: Check | None = None
    early: bool = False
    left_out: int = 0


def train(
    net: M2Dino,
    frames: LabelledFrames,
    settings: TrainSettings,
    *,
    device: str = "auto",
    workers: int = 1,
    fabric: Fabric | None = None,
    state_file: Path | None = None,
    signature: str = "",
    folder: RunFolder | None = None,
    held_out: LabelledFrames | None = None,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
    on_step: Callable[[int, str, float], None] | None = None,
    on_check: Callable[[Check], None] | None = None,
    shares: Mapping[str, float] | None = None,
) -> TrainResult:
    """Train a network in place.

    On return it holds the moving average of its weights: the best one by the checks on held-out rows, where there are
    any and the run came to its end, else the last.

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
    fabric : Fabric, optional
        As `processes.make_fabric` makes it; made for `device` by default.
    state_file : Path, optional
        Where the run's state is kept every two minutes, at each check and on a stop. If it exists, the run goes on from
        there.
    signature : str
        Of all that decides the run besides the settings; a state of another signature is refused.
    folder : RunFolder, optional
        Where figures and the best and the last state are kept.
    held_out : LabelledFrames, optional
        Rows to score states on. Without a folder the best state is kept in memory, and taken after a stop, too.
    on_progress : callable
        `(done, total, text)` with `done` of `total` thousandths of the run.
    should_stop : callable
    on_step : callable, optional
        `(step, task_id, loss)` for each task of every step.
    on_check : callable, optional
        The scores of a state on the held-out rows, when it was scored.
    shares : mapping of str to float, optional
        Fixed shares of the labels for some tasks.

    Raises
    ------
    TrainingError
        A loss was not finite ten times in a row, of one task or of all together, or the state file does not fit. In a
        folder the last good state is kept. Or a worker was killed.
    DatasetError
        A file has gone or broken since the rows were checked; the state is kept.
    UsageError
        The batch cannot be divided among the processes.
    CheckpointWriteError
        The folder cannot be written.
    """
    fabric = fabric or processes.make_fabric(device)
    loop = _Loop(net, frames, settings, fabric, state_file, signature, folder, held_out, shares, on_check)
    with told_if_lost():
        return loop.run(workers, on_progress, should_stop, on_step)


class _Loop:
    """The state of a run in memory."""

    def __init__(
        self,
        net: M2Dino,
        frames: LabelledFrames,
        settings: TrainSettings,
        fabric: Fabric,
        state_file: Path | None,
        signature: str,
        folder: RunFolder | None,
        held_out: LabelledFrames | None,
        shares: Mapping[str, float] | None,
        on_check: Callable[[Check], None] | None,
    ) -> None:
        self.net, self.frames, self.settings, self.fabric = net, frames, settings, fabric
        self.state_file, self.signature = state_file, signature
        self.folder = folder if fabric.is_global_zero else None
        self.part = processes.part_of(settings.batch_size, fabric)
        self.sampler = sampler_of(frames, settings, shares)
        self.weights_of_classes = _class_weights(frames, settings.losses.class_balance)
        self.named = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self.optimizer = AdamW(parameter_groups(net, settings))
        self.forward = SharedForward(net)
        self.module, self.wrapped = fabric.setup(DeepForward(net, settings.losses.deep > 0), self.optimizer)
        self.weights: dict[str, Tensor] = {name: p.detach() for name, p in self.named.items()}
        self.average = {name: p.detach().clone() for name, p in self.named.items()}
        self.on_check = on_check
        self.best: dict[str, Tensor] = {}
        self.halving = Halving(settings.batch_size)
        self.losses: dict[str, float] = {}
        self.bad: dict[str, int] = {}
        self.in_a_row = self.left_out = 0
        self.history = History()
        self.clock = Clock(settings, len(frames) / self.sampler.labels_per_image)
        self.pace = Pace(settings, self.clock.steps)
        self.checked_batches: int | None = None
        self._resume()
        self.held_out: HeldOut | None = None
        if fabric.is_global_zero and held_out is not None and len(held_out) and settings.checks:
            per_task = rows_per_task(settings, self.clock.steps, self.sampler.labels_per_image, len(held_out.tasks))
            self.held_out = HeldOut(held_out, per_task)
            if self.checked_batches is not None:
                self.held_out.keep(self.checked_batches)
        if self.folder is not None:
            about = {
                "steps": self.clock.steps,
                "labels_per_image": round(self.sampler.labels_per_image, 4),
                "rows_checked": self.held_out.rows if self.held_out is not None else 0,
                "device": fabric.device.type,
                "processes": fabric.world_size,
            }
            self.folder.start(about, self.clock.step)

    def run(
        self,
        workers: int,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        on_step: Callable[[int, str, float], None] | None,
    ) -> TrainResult:
        loader = DataLoader(
            GroupedFrames(self.frames),
            batch_sampler=Steps(self.sampler, self.clock.step, self.clock.steps or 2**31, self.part),
            collate_fn=collate_groups,
            num_workers=workers,
            prefetch_factor=3 if workers else None,
            worker_init_fn=leave_signals_to_the_parent,
        )
        self.module.train()
        saved = time.monotonic()
        with reading(loader) as batches:
            while True:
                fraction, stopped, early = self._where(should_stop)
                if fraction >= 1 or stopped or early:
                    break
                try:
                    sample: GroupSample = next(batches)
                except RuntimeError:
                    # A signal to the whole process group ends the workers first: that is a stop, not a failure.
                    if not should_stop():
                        raise
                    stopped = True
                    break
                except M2DinoError as error:
                    self.save()
                    # From a worker it comes with the worker's traceback before its own words.
                    raise type(error)(own_words(error)) from None
                losses = self._step(self.sampler.batch(self.clock.step), sample, fraction)
                if on_step is not None:
                    for task, loss in losses.items():
                        on_step(self.clock.step, task, loss)
                on_progress(round(1000 * self.clock.fraction), 1000, self._text())
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self.save()
                    saved = time.monotonic()
        if stopped:
            self.save()
        return self._finish(stopped, early)

    def _step(self, batch: Batch, sample: GroupSample, fraction: float) -> dict[str, float]:
        """Learn from one batch, or leave it out where a loss is no number; return the losses."""
        settings = self.settings
        # Dropout draws from the global generator: seeded by the step, a resumed run equals an unbroken one.
        torch.manual_seed(settings.seed * 1_000_003 + self.clock.step)
        factor = schedule(fraction, settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        images, targets = self.fabric.to_device((sample.image, sample.targets))
        if fraction < settings.coarse:
            images, targets = shrunk(images, targets, coarse_side(images.shape[-1]))
        losses = self._backward(batch.tasks, images, targets)
        at_fault = [task for task, loss in losses.items() if not math.isfinite(loss)]
        if not at_fault:
            # A task's own parameters get no gradient from another task's batch: AdamW then leaves them alone.
            norm = self.fabric.clip_gradients(
                self.module, self.wrapped, max_norm=settings.clip, error_if_nonfinite=False
            )
            if norm is not None and not norm.isfinite():
                at_fault = list(batch.tasks)
                losses = dict.fromkeys(losses, math.nan)
        if not at_fault:
            self.wrapped.step()
            decay = min(settings.ema, (1 + self.clock.step) / (10 + self.clock.step))
            for name, parameter in self.named.items():
                self.average[name].lerp_(parameter.detach(), 1 - decay)
        self.optimizer.zero_grad(set_to_none=True)
        self.clock.step += 1
        self._note(losses, at_fault)
        return losses

    def _backward(self, tasks: Sequence[str], images: Tensor, targets: Sequence[Tensor]) -> dict[str, float]:
        """Add the gradients of a batch, in parts where the memory does not hold it; return the losses."""
        total = processes.total if self.fabric.world_size > 1 else alone
        found: list[Tensor] = []

        def backward(part: Indices) -> float:
            own = slice(int(part[0]), int(part[-1]) + 1)
            outputs = self.module(images[own], tasks)
            parts = torch.stack(
                [
                    deep_loss(
                        outputs[task], target[own], self.settings.losses, self.weights_of_classes.get(task), total
                    )
                    for task, target in zip(tasks, targets, strict=True)
                ]
            ) * (len(part) / len(images))
            found.append(parts.detach())
            # Where one process leaves the gradient out, all do: the others would wait for it.
            if bool(processes.mean(self.fabric, found[-1]).isfinite().all()):
                self.fabric.backward(parts.sum())
            return 0.0

        def forget() -> None:
            found.clear()
            self.optimizer.zero_grad(set_to_none=True)

        everything = np.arange(len(images))
        if self.fabric.world_size > 1:  # the processes must make the same parts
            backward(everything)
        else:
            self.halving.run(everything, backward, forget)
        values = processes.mean(self.fabric, torch.stack(found).sum(dim=0)).tolist()
        return dict(zip(tasks, values, strict=True))

    def _note(self, losses: dict[str, float], at_fault: Sequence[str]) -> None:
        if self.folder is not None:
            self.folder.log_loss(self.clock.step, self.clock.seconds, self._rate(), losses)
        for task, loss in losses.items():
            if not at_fault:
                self.bad[task] = 0
                self.losses[task] = 0.9 * self.losses.get(task, loss) + 0.1 * loss
            elif task in at_fault:
                self.bad[task] = self.bad.get(task, 0) + 1
        self.in_a_row = self.in_a_row + 1 if at_fault else 0
        self.left_out += bool(at_fault)
        worst = [task for task, count in self.bad.items() if count >= BAD_STEPS]
        if worst or self.in_a_row >= BAD_STEPS:
            self.save()
            raise TrainingError(
                f"The loss of {' and of '.join(worst or at_fault)} was not a number {BAD_STEPS} times in a row. "
                f"{self._keep_good()}Check the labels, lower the learning rate, or leave the task out."
            )

    def _keep_good(self) -> str:
        """Write the moving average, which no bad step went into, as the last state; return a sentence that says so."""
        if self.folder is None:
            return "No checkpoint was made. " if self.fabric.is_global_zero else ""
        self.folder.flush(self.clock.step, self.clock.seconds, self._rate())
        if not all(bool(value.isfinite().all()) for value in self.average.values()):
            return f"The best state is in {self.folder.best}. " if self.folder.best.is_file() else ""
        with self._averaged():
            self.folder.keep_last(self.net, None)
        return f"The last good state is in {self.folder.last}. "

    def _where(self, should_stop: ShouldStop) -> tuple[float, bool, bool]:
        """Return how far the run is, whether it is to stop, and whether to end early, after a check if one is due.

        All three are the first process's: clocks and signals differ, and only it checks.
        """
        fraction = self.clock.fraction
        broken = self._check(fraction, should_stop)
        early = not broken and self._given_up()
        stopped = broken or (fraction < 1 and not early and should_stop())
        return processes.from_first(self.fabric, (fraction, stopped, early))

    def _check(self, fraction: float, should_stop: ShouldStop) -> bool:
        """Score the moving average if it is time to; return whether that was stopped, and so is still to be done."""
        before = self.pace.done
        if self.held_out is not None and self.pace.due(fraction, self.clock.seconds):
            start = time.monotonic()
            with self._averaged():
                check = self.held_out.check(
                    self.forward,
                    self.clock.step,
                    self.fabric.device,
                    self.fabric.autocast(),
                    # All later states are scored on the rows of the first, or their scores could not be compared.
                    math.inf if self.history.checks else self.pace.allowance,
                    should_stop,
                )
                if check is not None and self.history.add(check):
                    self._keep(check)
            if check is None:
                self.pace.done = before
                return True
            if self.folder is not None:
                self.folder.log_check(check, self.clock.seconds, self._rate())
            if self.on_check is not None:
                self.on_check(check)
            self.pace.seconds += time.monotonic() - start
            self.save()
        return False

    def _keep(self, check: Check) -> None:
        """Keep the moving average, which is in the network now, as the best state."""
        if self.folder is not None:
            self.folder.keep_best(self.net, check)
        else:
            self.best = {name: value.clone() for name, value in self.weights.items()}

    def _given_up(self) -> bool:
        return bool(self.settings.early_stop) and self.history.waited() >= self.settings.early_stop

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the moving average into the network for a while."""
        kept = {name: value.clone() for name, value in self.weights.items()}
        with torch.no_grad():
            for name, value in self.weights.items():
                value.copy_(self.average[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in self.weights.items():
                    value.copy_(kept[name])

    def _finish(self, stopped: bool, early: bool) -> TrainResult:
        chosen = self.best if self.best and self.settings.keep == "best" else self.average
        with torch.no_grad():
            for name, value in self.weights.items():
                value.copy_(chosen[name])
        self.net.eval()
        best = self.history.best if chosen is self.best else None
        if self.folder is not None:
            self.folder.flush(self.clock.step, self.clock.seconds, self._rate())
            if not stopped:
                last = self.history.checks[-1] if self.history.checks else None
                self.folder.keep_last(self.net, last if last and last.step == self.clock.step else None)
                best = self.history.best if self.settings.keep == "best" else None
                if best is not None and self.folder.best.is_file():
                    self.net.load_state_dict(read_tensors(self.folder.best))
        return TrainResult(self.clock.step, self.clock.seconds, stopped, self.losses, best, early, self.left_out)

    def save(self) -> None:
        """Keep the state, unless it holds a NaN: that would be worth less than the one before it."""
        if self.state_file is None or not self.fabric.is_global_zero:
            return
        if not all(bool(value.isfinite().all()) for value in self.weights.values()):
            return
        about: dict[str, Any] = {
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "signature": self.signature,
            "settings": self.settings.to_dict(),
            "losses": self.losses,
            "bad": self.bad,
            "left_out": self.left_out,
            "checked": self.pace.done,
            "check_seconds": self.pace.seconds,
            "check_batches": len(self.held_out.batches) if self.held_out is not None else None,
            "checks": [check.to_dict() for check in self.history.checks],
        }
        save_state(self.state_file, self.weights, self.average, self.optimizer, about)

    def _resume(self) -> None:
        if self.state_file is None or not self.state_file.exists():
            return
        about = read_about(self.state_file)
        if about.get("signature") != self.signature or about.get("settings") != self.settings.to_dict():
            raise TrainingError(
                f"{self.state_file}: an interrupted run with other data or settings lies there; repeat its command to "
                "finish it, or start anew with --restart."
            )
        load_state(self.state_file, self.weights, self.average, self.optimizer)
        try:
            self.clock.go_on(int(about["step"]), float(about["seconds"]))
            self.losses = dict(about["losses"])
            # A run that ended by them is given another chance: the cause may be gone.
            self.bad = {task: count for task, count in dict(about["bad"]).items() if count < BAD_STEPS}
            self.left_out = int(about.get("left_out", 0))
            self.pace.done, self.pace.seconds = int(about["checked"]), float(about["check_seconds"])
            self.history, self.checked_batches = History(about["checks"]), about["check_batches"]
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"{self.state_file}: an interrupted run of another version of this program; start anew with --restart."
            ) from error

    def _rate(self) -> float:
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def _text(self) -> str:
        mean = sum(self.losses.values()) / max(len(self.losses), 1)
        best = self.history.best
        score = f" · best score {best.score:.3f}" if best is not None else ""
        bad = f" · {self.left_out} steps left out: no number" if self.left_out else ""
        return f"step {self.clock.step} · loss {mean:.3f}{score}{bad} · {duration(self.clock.remaining)} left"


def _class_weights(frames: LabelledFrames, balance: float) -> dict[str, Tensor]:
    """Return the weights of the classes of each classification task; none where they are not balanced."""
    weights = {}
    for task_id, own in rows_of_task(frames).items() if balance else ():
        task = frames.tasks[task_id]
        if task.type == "classification":
            counts = Counter(_class_of(frames.rows[index]) for index in own)
            weights[task_id] = class_weights([counts[k] for k in range(task.num_classes)], balance)
    return weights


def _class_of(row: Row | CorrectedFrame) -> int:
    value = label_value(row) if isinstance(row, Row) else row.value()
    assert isinstance(value, ClassProbabilities)
    return value.index
