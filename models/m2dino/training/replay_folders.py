"""What labelled folders hold of a checkpoint's other tasks, by their tables alone; importing this needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from m2dino.data.fmuia import tasks_of
from m2dino.network.card import ModelCard
from m2dino.tasks import TaskRegistry
from m2dino.training.data import read_rows

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
