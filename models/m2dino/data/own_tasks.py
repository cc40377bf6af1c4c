"""The tasks that the rows of a data set speak of: those of the registry, and the user's own."""

from __future__ import annotations

from collections.abc import Iterable

from m2dino.data.rows import Row
from m2dino.errors import DatasetError
from m2dino.tasks import Task, TaskRegistry
from m2dino.values import TaskType


def tasks_of(rows: Iterable[Row], registry: TaskRegistry) -> dict[str, Task]:
    """Return every task of the rows by id, in order of first appearance.

    An id that the registry does not know becomes the user's own task, with numbered labels.

    Raises
    ------
    DatasetError
        Rows of one task disagree about its type or number of classes, or disagree with the registry; the message
        names the table.
    TaskError
        An id is not usable as one (a letter first, then letters, digits, _ and -), or there are too few classes.
    """
    tasks: dict[str, Task] = {}
    for row in rows:
        task = tasks.get(row.task_id)
        if task is None:
            task = registry[row.task_id] if row.task_id in registry else _own(row)
            tasks[row.task_id] = task
        if (task.type, task.num_classes) != (row.type, row.num_classes):
            raise DatasetError(
                f"{row.csv}, line {row.line}: the task {row.task_id} is {row.type} with num_classes {row.num_classes} "
                f"here, but is known as {task.type} with {task.num_classes}; correct it or rename it."
            )
    return tasks


def is_numbered(task: Task) -> bool:
    """Whether nothing is known of a task but its type and how many labels it has: no name, pair or outline."""
    return task == _numbered(task.id, task.type, task.num_classes)


def _own(row: Row) -> Task:
    return _numbered(row.task_id, row.type, row.num_classes, f"{row.csv}, line {row.line}")


def _numbered(task_id: str, kind: TaskType, count: int, where: str = "task") -> Task:
    return Task.from_dict(
        {
            "id": task_id,
            "type": kind,
            "labels": _labels(kind, count),
            # Nobody can tell whether mirrored points keep their names, so mirroring is not assumed to be harmless.
            "horizontal_flip": kind != "regression",
        },
        where=where,
    )


def _labels(kind: TaskType, count: int) -> list[str]:
    if kind == "segmentation":
        return ["background", *(f"class {i}" for i in range(1, count))]
    if kind == "classification":
        return [f"class {i}" for i in range(count)]
    if kind == "detection":
        return ["object"] if count == 1 else [f"object {i + 1}" for i in range(count)]
    return [f"point {i + 1}" for i in range(count)]
