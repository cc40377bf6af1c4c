"""Images by the set of tasks that they carry labels of.

One picture is often labelled several times: a mask, the box around it, its measuring points, its class. Such rows can
share a step: the task-free half of the network runs once for all of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bundle:
    """Images that carry labels of the same tasks.

    Attributes
    ----------
    tasks : tuple of str
        Sorted.
    images : tuple
        For each image, for each task in the order of `tasks`, the indices of its rows (one, but for duplicates).
    """

    tasks: tuple[str, ...]
    images: tuple[tuple[tuple[int, ...], ...], ...]


def bundle(rows_of_task: Mapping[str, Sequence[int]], image_of_row: Mapping[int, Hashable], least: int) -> list[Bundle]:
    """Part the images by the tasks that they carry.

    Every row is in exactly one bundle. A set of tasks that fewer than `least` images share is divided, into the largest
    sets that enough images share and else into single tasks: a step should not see one picture over and over.

    Parameters
    ----------
    rows_of_task : mapping of str to sequence of int
    image_of_row : mapping of int to hashable
        What image each row is of.
    least : int
        Images that a bundle of several tasks must have.
    """
    labels: dict[Hashable, dict[str, list[int]]] = {}
    for task in sorted(rows_of_task):
        for row in rows_of_task[task]:
            labels.setdefault(image_of_row[row], {}).setdefault(task, []).append(int(row))
    by_tasks: dict[tuple[str, ...], list[dict[str, list[int]]]] = {}
    # Not by the images' own names, which may say where the data lies: by the first row of each.
    for own in sorted(labels.values(), key=lambda own: min(min(rows) for rows in own.values())):
        by_tasks.setdefault(tuple(sorted(own)), []).append(own)
    shared = sorted(
        (tasks for tasks, own in by_tasks.items() if len(tasks) > 1 and len(own) >= least),
        key=lambda tasks: (-len(tasks), -len(by_tasks[tasks]), tasks),
    )
    final: dict[tuple[str, ...], list[tuple[tuple[int, ...], ...]]] = {}
    for tasks, images in sorted(by_tasks.items()):
        for part in _divide(tasks, shared):
            final.setdefault(part, []).extend(tuple(tuple(own[task]) for task in part) for own in images)
    return [Bundle(tasks, tuple(images)) for tasks, images in sorted(final.items())]


def _divide(tasks: tuple[str, ...], shared: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Cut a set of tasks into sets that enough images share, largest first, and single tasks."""
    left, parts = set(tasks), []
    for other in shared:
        if left.issuperset(other):
            parts.append(other)
            left -= set(other)
    return parts + [(task,) for task in sorted(left)]
