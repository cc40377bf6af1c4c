"""Scoring the network on held-out rows from time to time, at a bounded cost, and what follows from the scores."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m2dino.data.samples import GroupKey, GroupSample, LabelledFrames, collate_groups
from m2dino.progress import ShouldStop, never_stop
from m2dino.training.bundles import bundle
from m2dino.training.colabelled import SharedForward
from m2dino.training.halving import Halving, Indices
from m2dino.training.sampling import rows_of_task
from m2dino.training.scores import answers, overall, task_score
from m2dino.training.settings import TrainSettings

BATCH = 8
MOST_ROWS, LEAST_ROWS = 64, 8
COST = 0.1
STEPS_APART = 25
SECONDS_APART = 20


@dataclass(frozen=True)
class Check:
    """The scores of one state (see `scores`); `score` is the mean over `types`."""

    step: int
    score: float
    types: dict[str, float] = field(default_factory=dict)
    tasks: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class HeldOut:
    """The held-out rows that states are scored on: a fixed choice, spread evenly over each task's rows.

    Parameters
    ----------
    frames : LabelledFrames
    per_task : int
        Most rows of a task.

    Attributes
    ----------
    batches : list
        (tasks, keys) of each batch, in an order of which every beginning is spread over the tasks.
    """

    def __init__(self, frames: LabelledFrames, per_task: int) -> None:
        self.frames = frames
        chosen = {
            task: [own[int(i)] for i in np.linspace(0, len(own) - 1, min(per_task, len(own)))]
            for task, own in rows_of_task(frames).items()
        }
        image_of = {row: image for image, own in frames.rows_by_image.items() for row in own}
        placed: list[tuple[float, tuple[str, ...], list[GroupKey]]] = []
        for one in bundle(chosen, image_of, 1):
            keys = [GroupKey(tuple(rows[0] for rows in image), None) for image in one.images]
            # Every n-th image, so that a batch is spread over the bundle as the bundle is over the rows.
            count = -(-len(keys) // BATCH)
            placed.extend((number / count, one.tasks, keys[number::count]) for number in range(count))
        self.batches = [(tasks, keys) for _, tasks, keys in sorted(placed, key=lambda entry: entry[:2])]
        self.halving = Halving(BATCH)
        self.least = sum(place == 0 for place, _, _ in placed)

    def keep(self, batches: int) -> None:
        """Score on the first so many batches only, from now on."""
        self.batches = self.batches[:batches]

    @property
    def rows(self) -> int:
        """How many rows a check scores."""
        return sum(len(tasks) * len(keys) for tasks, keys in self.batches)

    @torch.no_grad()
    def check(
        self,
        forward: SharedForward,
        step: int,
        device: torch.device,
        precision: AbstractContextManager[Any],
        seconds: float = math.inf,
        should_stop: ShouldStop = never_stop,
    ) -> Check | None:
        """Score a network as it is; when that has taken `seconds`, the rows not seen by then are dropped for good.

        None where it was stopped: some of the rows say nothing beside all of them.
        """
        gathered: dict[str, list[Tensor]] = {}
        training, start = forward.training, time.monotonic()
        forward.eval()
        stopped = False
        with precision:
            for done, (tasks, keys) in enumerate(self.batches):
                if done and (stopped := should_stop()):
                    break
                if done >= self.least and time.monotonic() - start > seconds:
                    self.keep(done)
                    break
                sample = collate_groups([self.frames.group(key) for key in keys])
                answer = partial(_answers, forward, tasks, sample, device)
                for task, told in self.halving.each(np.arange(len(keys)), answer):
                    gathered.setdefault(task, []).append(told)
        forward.train(training)
        if stopped:
            return None
        known = self.frames.tasks
        scores = {task: task_score(known[task], torch.cat(parts)) for task, parts in sorted(gathered.items())}
        score, types = overall(known, scores)
        return Check(step, score, types, scores)


def _answers(
    forward: SharedForward, tasks: Sequence[str], sample: GroupSample, device: torch.device, part: Indices
) -> list[tuple[str, Tensor]]:
    """Return what is said of some images of a batch, beside the truth, for each task."""
    own = slice(int(part[0]), int(part[-1]) + 1)
    outputs = forward(sample.image[own].to(device), tasks)
    pairs = zip(tasks, sample.targets, strict=True)
    return [(task, answers(outputs[task], target[own].to(device))) for task, target in pairs]


def rows_per_task(settings: TrainSettings, steps: int | None, labels_per_image: float, tasks: int) -> int:
    """How many rows of each task to check on, so that all checks together cost at most a tenth of a run of known steps.

    A label scored costs a third of a label learnt: there is no way back through the network. A run in minutes measures
    instead (`Pace.allowance`).
    """
    if steps is None:
        return MOST_ROWS
    budget = 3 * COST * steps * settings.batch_size * labels_per_image
    return int(np.clip(budget / number_of_checks(settings, steps) / tasks, LEAST_ROWS, MOST_ROWS))


def number_of_checks(settings: TrainSettings, steps: int | None) -> int:
    """How many checks a run has: fewer than asked for where it is short."""
    room = steps // STEPS_APART if steps is not None else int(60 * (settings.minutes or 0) // SECONDS_APART)
    return min(settings.checks, max(1, room))


class Pace:
    """When to check: at even shares of the run, the last time at its end.

    A run of known steps checks at fixed steps, so that it can be repeated exactly. A run in minutes bounds the time of
    its first check, which decides on the rows of all, and leaves a check out when checks have yet taken more than a
    tenth of its time; the last one is always made.

    Attributes
    ----------
    allowance : float
        Seconds that a check may take; infinite for a run of known steps.
    done : int
        How many even shares of the run are behind it.
    seconds : float
        Time that all checks have taken.
    """

    def __init__(self, settings: TrainSettings, steps: int | None) -> None:
        self.count = number_of_checks(settings, steps)
        self.allowance = math.inf if steps is not None else 60 * (settings.minutes or 0) * COST / self.count
        self.done = 0
        self.seconds = 0.0

    def due(self, fraction: float, seconds: float) -> bool:
        """Whether to check now, after `fraction` of the run and so many seconds."""
        place = math.floor(fraction * self.count + 1e-9)
        if place <= self.done:
            return False
        self.done = place
        return math.isinf(self.allowance) or fraction >= 1 or self.seconds <= COST * seconds


class History:
    """The checks of a run, oldest first."""

    def __init__(self, checks: Sequence[Mapping[str, Any]] = ()) -> None:
        self.checks = [Check(**check) for check in checks]

    @property
    def best(self) -> Check | None:
        """The first of the best; None where none could be told."""
        known = [check for check in self.checks if math.isfinite(check.score)]
        return max(known, key=lambda check: check.score, default=None)

    def add(self, check: Check) -> bool:
        """Add a check; return whether it is the best so far."""
        self.checks.append(check)
        return self.best is check

    def waited(self) -> int:
        """Return how many checks have been made since the best one."""
        best = self.best
        return len(self.checks) - 1 - self.checks.index(best) if best is not None else 0
