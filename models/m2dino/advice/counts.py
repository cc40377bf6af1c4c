"""What there is of each task: rows and subjects in data sets, corrected frames and loops in a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m2dino.data.fmuia import tasks_of
from m2dino.data.splits import subjects
from m2dino.data.store import Store
from m2dino.errors import TooLittleDataError
from m2dino.tasks import Task, TaskRegistry
from m2dino.training.data import read_rows

UNGROUPED = "Own"
"""The group of a task whose group nobody told: such tasks have nothing in common."""


@dataclass(frozen=True)
class TaskCount:
    """What there is to learn one task from.

    Attributes
    ----------
    task : Task
    rows, subjects : int
        Of data sets.
    frames, loops : int
        Corrected and accepted frames of a store, and the loops that they are of.
    """

    task: Task
    rows: int = 0
    subjects: int = 0
    frames: int = 0
    loops: int = 0

    @property
    def labels(self) -> int:
        """Rows and frames together."""
        return self.rows + self.frames

    @property
    def sources(self) -> int:
        """Subjects and loops together."""
        return self.subjects + self.loops


def count(roots: Sequence[Path], registry: TaskRegistry, store: Path | None = None) -> dict[str, TaskCount]:
    """Count the labels of every task, in order of id; no picture is decoded.

    Raises
    ------
    DatasetError, StoreError
        Data or store cannot be read.
    TaskError
        They disagree about a task.
    TooLittleDataError
        There is no label at all.
    """
    rows = read_rows(roots, None)
    tasks = tasks_of(rows, registry)
    whose: dict[str, list[str]] = {task_id: [] for task_id in tasks}
    for row, subject in zip(rows, subjects(rows), strict=True):
        whose[row.task_id].append(subject)
    found = {task_id: TaskCount(task, len(whose[task_id]), len(set(whose[task_id]))) for task_id, task in tasks.items()}
    if store is not None:
        with Store.open(store) as opened:
            own = opened.tasks()
            TaskRegistry(tasks.values()).extended(own.values(), str(store))  # refuses what disagrees
            for task_id, task in own.items():
                frames = opened.labelled(task_id)
                there = found.get(task_id, TaskCount(task))
                number = sum(map(len, frames.values()))
                found[task_id] = TaskCount(there.task, there.rows, there.subjects, number, len(frames))
    found = {task_id: one for task_id, one in sorted(found.items()) if one.labels}
    if not found:
        raise TooLittleDataError("There is no labelled row or frame to advise on.")
    return found


def partners(counts: dict[str, TaskCount], task_id: str) -> list[str]:
    """Return the other tasks of a task's clinical group; none where nobody told its group."""
    group = counts[task_id].task.group
    return [] if group == UNGROUPED else [t for t, one in counts.items() if t != task_id and one.task.group == group]
