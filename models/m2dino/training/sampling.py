"""Which images and which tasks make up each step.

A step takes images that carry labels of the same tasks (`bundles`) and learns from all those labels at once. Each task
gets a share p ~ n^alpha of the learning, n being its number of rows: 0 is uniform (the challenge's baseline), 1
proportional; 0.5 gives small tasks their say without drowning the large ones. `rates` says how the shares are kept
although tasks come together. Without co-labelled images this is one task a step. A batch depends on the seed and the
number of the step alone, so that a run can stop and go on anywhere.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from m2dino.data.samples import GroupKey, LabelledFrames
from m2dino.training.bundles import bundle
from m2dino.training.rates import rates
from m2dino.training.settings import TrainSettings


@dataclass(frozen=True)
class Batch:
    """The images of one step, and the tasks that it learns; the rows of each key are in the order of `tasks`."""

    step: int
    tasks: tuple[str, ...]
    keys: tuple[GroupKey, ...]


class TaskSampler:
    """Draw batches.

    Parameters
    ----------
    rows_of_task : mapping of str to sequence of int
        Indices of the rows of each task; none may be empty.
    batch_size : int
    seed : int
    alpha : float
        In [0, 1].
    shares : mapping of str to float, optional
        Fixed shares of some tasks; the others divide what is left by p ~ n^alpha.
    image_of_row : mapping of int to hashable, optional
        What image each row is of. Without it no two tasks share a step.
    tasks_per_step : int
        Most tasks of a step; 0 for no limit.

    Attributes
    ----------
    wanted : dict of str to float
        The share that each task should have.
    labels_per_image : float
        How many tasks a step learns, on average.
    """

    def __init__(
        self,
        rows_of_task: Mapping[str, Sequence[int]],
        batch_size: int,
        seed: int,
        alpha: float = 0.5,
        shares: Mapping[str, float] | None = None,
        image_of_row: Mapping[int, Hashable] | None = None,
        tasks_per_step: int = 0,
    ) -> None:
        if not rows_of_task or not all(len(rows) for rows in rows_of_task.values()):
            raise ValueError("every task needs rows")
        self.batch_size, self.seed, self.tasks_per_step = batch_size, seed, tasks_per_step
        self.wanted = _wanted(rows_of_task, alpha, shares or {})
        apart = {row: (task, row) for task, rows in rows_of_task.items() for row in rows}
        self.bundles = bundle(rows_of_task, image_of_row or apart, batch_size)
        self.probabilities, self.kept = rates(self.bundles, self.wanted, tasks_per_step)
        self.labels_per_image = float(
            sum(
                p * min(sum(self.kept[task] for task in b.tasks) if len(b.tasks) > 1 else 1, tasks_per_step or np.inf)
                for p, b in zip(self.probabilities, self.bundles, strict=True)
            )
        )

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, from 0."""
        rng = np.random.default_rng([self.seed, step])
        chosen = self.bundles[int(rng.choice(len(self.bundles), p=self.probabilities))]
        tasks = self._tasks(chosen.tasks, rng)
        places = [chosen.tasks.index(task) for task in tasks]
        count = len(chosen.images)
        images = rng.choice(count, size=self.batch_size, replace=count < self.batch_size)
        seeds = rng.integers(0, 2**62, size=self.batch_size)
        keys = []
        for image, seed in zip(images, seeds, strict=True):
            rows = [chosen.images[int(image)][place] for place in places]
            keys.append(GroupKey(tuple(same[int(rng.integers(len(same)))] for same in rows), int(seed)))
        return Batch(step, tasks, tuple(keys))

    def _tasks(self, tasks: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
        if len(tasks) == 1:
            return tasks
        chance = rng.random(len(tasks))
        kept = np.array([self.kept[task] for task in tasks])
        staying = np.flatnonzero(chance < kept)
        if not staying.size:
            staying = np.array([int(np.argmax(kept - chance))])
        if self.tasks_per_step and staying.size > self.tasks_per_step:
            staying = np.sort(rng.choice(staying, self.tasks_per_step, replace=False))
        return tuple(tasks[int(i)] for i in staying)

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Yield the batches of the steps first to last - 1."""
        for step in range(first, last):
            yield self.batch(step)


def rows_of_task(frames: LabelledFrames) -> dict[str, list[int]]:
    """Return the indices of the rows of each task, in order."""
    rows: dict[str, list[int]] = {}
    for index, row in enumerate(frames.rows):
        rows.setdefault(row.task_id, []).append(index)
    return rows


def sampler_of(
    frames: LabelledFrames, settings: TrainSettings, shares: Mapping[str, float] | None = None
) -> TaskSampler:
    """Return the sampler of a training on `frames`, whose batches follow from the settings alone."""
    images = {row: image for image, own in frames.rows_by_image.items() for row in own}
    return TaskSampler(
        rows_of_task(frames),
        settings.batch_size,
        settings.seed,
        settings.alpha,
        shares,
        images if settings.co_labelled else None,
        settings.tasks_per_step,
    )


def _wanted(rows_of_task: Mapping[str, Sequence[int]], alpha: float, shares: Mapping[str, float]) -> dict[str, float]:
    tasks = sorted(rows_of_task)
    weights = np.array([len(rows_of_task[task]) for task in tasks], dtype=float) ** alpha
    fixed = np.array([shares.get(task, 0.0) for task in tasks])
    weights[fixed > 0] = 0
    rest = weights / weights.sum() if weights.any() else weights
    wanted = fixed + (1 - fixed.sum()) * rest
    wanted /= wanted.sum()
    return {task: float(share) for task, share in zip(tasks, wanted, strict=True)}


class Steps:
    """An endless sampler for the DataLoader: the keys of this process's part of each step's batch."""

    def __init__(self, sampler: TaskSampler, first: int, last: int, part: slice) -> None:
        self.sampler, self.first, self.last, self.part = sampler, first, last, part

    def __iter__(self) -> Iterator[list[GroupKey]]:
        return (list(batch.keys[self.part]) for batch in self.sampler.batches(self.first, self.last))
