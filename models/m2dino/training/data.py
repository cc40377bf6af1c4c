"""The rows of a run: read, split honestly, and described."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from m2dino.data.fmuia import Row, find_roots, read_root, tasks_of
from m2dino.data.problems import Problem
from m2dino.data.sound_rows import sound_rows
from m2dino.data.splits import split, subjects
from m2dino.errors import MissingFileError, TooLittleDataError, UnknownTaskError
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
        Training rows left out because their subject is held out.
    left_out : tuple of Problem
        Rows, of either side, from which there is nothing to learn; see `m2dino.data.sound_rows`.
    set_apart : tuple of Path
        Roots that are held out because of their name and what is beside them; see `gather`.
    """

    train: list[Row]
    val: list[Row]
    tasks: dict[str, Task]
    dropped: int = 0
    left_out: tuple[Problem, ...] = ()
    set_apart: tuple[Path, ...] = ()

    def counts(self, task_id: str) -> tuple[int, int]:
        """(training rows, held-out rows) of a task."""
        counts = [Counter(row.task_id for row in rows) for rows in (self.train, self.val)]
        return counts[0][task_id], counts[1][task_id]

    @property
    def remarks(self) -> list[str]:
        """What a person is told of the division before the training starts."""
        told = [
            f"{root} is held out, because {root.with_name('train')} is beside it; name other data to hold out by --val."
            for root in self.set_apart
        ]
        if self.dropped:
            told.append(f"{self.dropped} training rows left out: their subjects are held out.")
        if self.left_out:
            told.append(f"{len(self.left_out)} rows left out, the first: {self.left_out[0]}")
        return told

    def only(self, task_ids: Collection[str]) -> TrainingData:
        """Return the part of some tasks; the split stays what it was over all."""
        return TrainingData(
            [row for row in self.train if row.task_id in task_ids],
            [row for row in self.val if row.task_id in task_ids],
            {task_id: task for task_id, task in self.tasks.items() if task_id in task_ids},
            self.dropped,
            self.left_out,
            self.set_apart,
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

    Without `val_roots`, a data set `val` beside one `train` is held out, as it was made to be; of a task that it says
    nothing of, and of everything where there is none, a share of the subjects is.

    Parameters
    ----------
    roots : sequence of Path
    registry : TaskRegistry
    val_roots : sequence of Path
        Data to hold out.
    task_ids : collection of str, optional
    val_fraction : float
        Share of the subjects to hold out, where no data set is.
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
    vals = [] if val_roots else _vals_beside_train(roots)
    if vals:
        roots = [root for path in roots for root in find_roots(path) if root.resolve() not in vals]
    checked = sound_rows(read_rows(roots, task_ids), on_progress)
    rows, left_out = checked.rows, checked.left_out
    dropped = 0
    if val_roots or vals:
        # A task asked for need not be here, and rows of other tasks are not looked at.
        held_out = [row for path in val_roots or vals for root in find_roots(path) for row in read_root(root, task_ids)]
        checked = sound_rows(held_out, on_progress)
        held_out, left_out = checked.rows, left_out + checked.left_out
        every = len(rows) + len(held_out)
        keys = subjects([*rows, *held_out])
        seen = set(keys[len(rows) :])
        train = [row for row, key in zip(rows, keys, strict=False) if key not in seen]
        if vals:
            train, held_out = _measured_too(train, held_out, val_fraction, seed)
        dropped = every - len(train) - len(held_out)
    else:
        train, held_out = split(rows, val_fraction, seed)
    if not train:
        raise TooLittleDataError("There is no labelled row left to train on.")
    learnt = {row.task_id for row in train}
    held_out = [row for row in held_out if row.task_id in learnt]
    # Held-out rows must be of the same tasks, or a check would fail after minutes of training.
    tasks = tasks_of([*train, *held_out], registry)
    return TrainingData(train, held_out, tasks, dropped, tuple(left_out), tuple(vals))


def _vals_beside_train(paths: Iterable[Path]) -> list[Path]:
    """Return the roots at the paths that are named `val` and have one named `train` beside them."""
    roots = list(dict.fromkeys(root.resolve() for path in paths for root in find_roots(path)))
    return [root for root in roots if root.name == "val" and root.with_name("train") in roots]


def _measured_too(train: list[Row], val: list[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Hold out a share of the subjects of the tasks that `val` says nothing of; what is held out trains no other."""
    measured = {row.task_id for row in val}
    others = [row for row in train if row.task_id not in measured]
    if not others:
        return train, val
    chosen = {id(row) for row in split(others, share, seed)[1]}
    keys = subjects(train)
    held = {key for row, key in zip(train, keys, strict=True) if id(row) in chosen}
    left = [row for row, key in zip(train, keys, strict=True) if key not in held]
    return left, [*val, *(row for row in others if id(row) in chosen)]


def fingerprint(rows: Iterable[Row]) -> str:
    """Signature of labelled rows: contents of images and labels, not names or order.

    Raises
    ------
    MissingFileError
        A file cannot be read any more.
    """
    files: dict[Path, bytes] = {}

    def digest(path: Path) -> bytes:
        if path not in files:
            try:
                files[path] = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
            except OSError as error:
                raise MissingFileError(
                    f"{path}: it cannot be read any more ({os.strerror(error.errno or 0)}); see that the data can be "
                    "reached."
                ) from error
        return files[path]

    entries = sorted(
        row.task_id.encode() + digest(row.image) + (digest(row.mask) if row.mask else repr(row.label).encode())
        for row in rows
    )
    return hashlib.blake2b(b"\0".join(entries), digest_size=16).hexdigest()
