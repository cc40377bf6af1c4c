"""The rows that a comparison is made on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from m2dino.data.rows import Row
from m2dino.tasks import load_tasks
from m2dino.training.data import TrainingData, gather


def spread(rows: list[Row], limit: int) -> list[Row]:
    """Return at most `limit` rows of each task, spread evenly; all for 0."""
    chosen: list[Row] = []
    for task_id in dict.fromkeys(row.task_id for row in rows):
        own = [row for row in rows if row.task_id == task_id]
        count = min(limit or len(own), len(own))
        chosen += [own[i * len(own) // count] for i in range(count)]
    return chosen


def read_data(root: Path, tasks: str, task_file: Path, limit: int, seed: int) -> TrainingData:
    """Return the rows of `root`/train and `root`/val of tasks, separated by commas; all tasks if empty."""
    data = gather(
        [root / "train"],
        load_tasks([task_file] if task_file.exists() else []),
        val_roots=[root / "val"],
        task_ids=[task.strip() for task in tasks.split(",") if task.strip()] or None,
        seed=seed,
    )
    return replace(data, train=spread(data.train, limit), val=spread(data.val, limit))
