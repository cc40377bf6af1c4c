"""Less data, by subject: the smaller share is always part of the larger one."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence

from m2dino.data.rows import Row


def part(rows: Sequence[Row], subjects: Sequence[str], scale: float, seed: int) -> list[int]:
    """Return the indices of the rows of a share of the subjects, at least one subject of each task.

    Subjects are taken in an order that their names and the seed decide, the same for every task and share. Each task
    keeps its first ones, and with them come all their rows: a subject is in for all tasks or for none.

    Parameters
    ----------
    rows : sequence of Row
    subjects : sequence of str
        Whose each row is, as from `splits.subjects`.
    scale : float
        In (0, 1].
    seed : int
    """
    of_task: dict[str, set[str]] = defaultdict(set)
    for row, subject in zip(rows, subjects, strict=True):
        of_task[row.task_id].add(subject)
    kept: set[str] = set()
    for own in of_task.values():
        kept.update(sorted(own, key=lambda subject: _place(subject, seed))[: math.ceil(scale * len(own) - 1e-9)])
    return [index for index, subject in enumerate(subjects) if subject in kept]


def spread(rows: Sequence[Row], most: int) -> list[int]:
    """Return the indices of at most so many rows of each task, spread evenly over its rows; of all for 0."""
    of_task: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        of_task[row.task_id].append(index)
    kept: set[int] = set()
    for own in of_task.values():
        count = min(most or len(own), len(own))
        kept.update(own[i * len(own) // count] for i in range(count))
    return sorted(kept)


def _place(subject: str, seed: int) -> bytes:
    return hashlib.blake2b(f"study {seed}\0{subject}".encode(), digest_size=8).digest()
