"""What labelled folders hold of a checkpoint's other tasks, and how it is divided; importing this needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from m2dino.data.fmuia import find_roots, tasks_of
from m2dino.network.card import ModelCard
from m2dino.progress import OnProgress, ignore_progress
from m2dino.tasks import TaskRegistry
from m2dino.training.data import TrainingData, gather, read_rows

HELD_OUT = 0.2
"""Share of the subjects of such folders that other tasks are measured on."""


def known_tasks(card: ModelCard) -> TaskRegistry:
    """Return the tasks that a checkpoint knows."""
    return TaskRegistry(report.task for report in card.tasks.values())


def rows_to_replay(card: ModelCard, task_id: str, folders: Sequence[Path]) -> dict[str, int]:
    """Count the rows of every other task that a checkpoint knows.

    Parameters
    ----------
    card : ModelCard
    task_id : str
        The task that is fine-tuned.
    folders : sequence of Path
        In the FM_UIA layout, or holding folders in it.

    Raises
    ------
    DatasetError
        A table is not sound, or means another task by an id that the checkpoint knows.
    MissingFileError
        There is no such folder.
    """
    rows = read_rows(folders, None)
    tasks_of(rows, known_tasks(card))
    counts = Counter(row.task_id for row in rows if row.task_id in card.tasks and row.task_id != task_id)
    return dict(sorted(counts.items()))


def divided(folders: Sequence[Path], registry: TaskRegistry, on_progress: OnProgress = ignore_progress) -> TrainingData:
    """Return the rows of such folders, divided by subject as `gather` does it.

    Raises
    ------
    DatasetError, MissingFileError
        A row is not sound, or there is no such folder.
    TooLittleDataError
        Nothing is left to train on.
    """
    roots = list(dict.fromkeys(root.resolve() for path in folders for root in find_roots(path)))
    return gather(roots, registry, val_fraction=HELD_OUT, on_progress=on_progress)
