"""The rows of a run: read, split honestly, and described."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from m2dino.data.fmuia import Row, find_roots, read_root, tasks_of
from m2dino.data.problems import Problem
from m2dino.data.sound_rows import sound_rows
from m2dino.data.splits import split, subjects
from m2dino.errors import TooLittleDataError, UnknownTaskError
from m2dino.progress import OnProgress, ignore_progress
from m2dino.tasks import Task, TaskRegistry


@dataclass(frozen=True)
class TrainingData:
    """Rows to train on and rows held out, with the tasks that they are of.

    Attributes
    ----------
    train, val : list of Row
    tasks : dict of str to Task
        The tasks that have training rows.
    dropped : int
        Training rows left out because their subject is in the validation roots.
    left_out : tuple of Problem
        Rows, of either side, from which there is nothing to learn; see `m2dino.data.sound_rows`.
    """

    train: list[Row]
    val: list[Row]
    tasks: dict[str, Task]
    dropped: int = 0
    left_out: tuple[Problem, ...] = ()

    def counts(self, task_id: str) -> tuple[int, int]:
        """(training rows, held-out rows) of a task."""
        counts = [Counter(row.task_id for row in rows) for rows in (self.train, self.val)]
        return counts[0][task_id], counts[1][task_id]

    def only(self, task_ids: Collection[str]) -> TrainingData:
        """Return the part of some tasks; the split stays what it was over all."""
        return TrainingData(
            [row for row in self.train if row.task_id in task_ids],
            [row for row in self.val if row.task_id in task_ids],
            {task_id: task for task_id, task in self.tasks.items() if task_id in task_ids},
            self.dropped,
            self.left_out,
        )


def read_rows(roots: Iterable[Path], task_ids: Collection[str] | None) -> list[Row]:
    """Read every root at the paths (a folder may hold several), keeping some tasks or all.

    Raises
    ------
    DatasetError
        A root is not sound; the message names the table and the row.
    UnknownTaskError
        One of the asked-for tasks has no row.
    """
    rows = [row for path in roots for root in find_roots(path) for row in read_root(root, task_ids)]
    missing = sorted(set(task_ids or ()) - {row.task_id for row in rows})
    if missing:
        raise UnknownTaskError(f"The data has no row of the task {missing[0]!r}; leave it out, or add its data.")
    return rows


def gather(
    roots: Sequence[Path],
    registry: TaskRegistry,
    *,
    val_roots: Sequence[Path] = (),
    task_ids: Collection[str] | None = None,
    val_fraction: float = 0.15,
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
) -> TrainingData:
    """Read and check the rows of a run and hold some out, by subject over all tasks at once.

    Parameters
    ----------
    roots : sequence of Path
    registry : TaskRegistry
    val_roots : sequence of Path
        Data to hold out; without it a share `val_fraction` of the subjects of `roots` is.
    task_ids : collection of str, optional
    val_fraction : float
    seed : int
    on_progress : callable
        Called while every image and mask is looked at.

    Raises
    ------
    DatasetError
        A row is not sound, or rows, held out or not, disagree about their task.
    TooLittleDataError
        Nothing is left to train on.
    """
    checked = sound_rows(read_rows(roots, task_ids), on_progress)
    rows, left_out = checked.rows, checked.left_out
    dropped = 0
    if val_roots:
        # A task asked for need not be here, and rows of other tasks are not looked at.
        held_out = [row for path in val_roots for root in find_roots(path) for row in read_root(root, task_ids)]
        checked = sound_rows(held_out, on_progress)
        held_out, left_out = checked.rows, left_out + checked.left_out
        keys = subjects([*rows, *held_out])
        seen = set(keys[len(rows) :])
        train = [row for row, key in zip(rows, keys, strict=False) if key not in seen]
        dropped = len(rows) - len(train)
    else:
        train, held_out = split(rows, val_fraction, seed)
    if not train:
        raise TooLittleDataError("There is no labelled row left to train on.")
    learnt = {row.task_id for row in train}
    held_out = [row for row in held_out if row.task_id in learnt]
    # Held-out rows must be of the same tasks, or a check would fail after minutes of training.
    tasks = tasks_of([*train, *held_out], registry)
    return TrainingData(train, held_out, tasks, dropped, tuple(left_out))


def fingerprint(rows: Iterable[Row]) -> str:
    """Signature of labelled rows: contents of images and labels, not names or order."""
    files: dict[Path, bytes] = {}

    def digest(path: Path) -> bytes:
        if path not in files:
            files[path] = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
        return files[path]

    entries = sorted(
        row.task_id.encode() + digest(row.image) + (digest(row.mask) if row.mask else repr(row.label).encode())
        for row in rows
    )
    return hashlib.blake2b(b"\0".join(entries), digest_size=16).hexdigest()
