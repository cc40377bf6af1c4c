"""Which rows make up the batch of each step.

One task a batch, the task drawn with p ~ n^alpha over the number n of its rows: 0 is uniform (the challenge's
baseline), 1 proportional; 0.5 gives small tasks their say without drowning the large ones. A batch depends on the seed
and the number of the step alone, so that a run can stop and go on anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from m2dino.data.samples import SampleKey


@dataclass(frozen=True)
class Batch:
    """The rows of one step, all of one task."""

    step: int
    task_id: str
    keys: tuple[SampleKey, ...]


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
        Fixed probabilities of some tasks; the others divide what is left by p ~ n^alpha.
    """

    def __init__(
        self,
        rows_of_task: Mapping[str, Sequence[int]],
        batch_size: int,
        seed: int,
        alpha: float = 0.5,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        if not rows_of_task or not all(len(rows) for rows in rows_of_task.values()):
            raise ValueError("every task needs rows")
        self.tasks = sorted(rows_of_task)
        self.rows = {task: np.asarray(rows_of_task[task]) for task in self.tasks}
        weights = np.array([len(self.rows[task]) for task in self.tasks], dtype=float) ** alpha
        fixed = np.array([(shares or {}).get(task, 0.0) for task in self.tasks])
        weights[fixed > 0] = 0
        rest = weights / weights.sum() if weights.any() else weights
        self.probabilities = fixed + (1 - fixed.sum()) * rest
        self.probabilities /= self.probabilities.sum()
        self.batch_size, self.seed = batch_size, seed

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, from 0."""
        rng = np.random.default_rng([self.seed, step])
        task = self.tasks[int(rng.choice(len(self.tasks), p=self.probabilities))]
        rows = self.rows[task]
        chosen = rng.choice(rows, size=self.batch_size, replace=len(rows) < self.batch_size)
        seeds = rng.integers(0, 2**62, size=self.batch_size)
        return Batch(step, task, tuple(SampleKey(int(r), int(s)) for r, s in zip(chosen, seeds, strict=True)))

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Yield the batches of the steps first to last - 1."""
        for step in range(first, last):
            yield self.batch(step)
