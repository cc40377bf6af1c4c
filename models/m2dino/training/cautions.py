"""What the labels of a fine-tune cannot teach or vouch for, said before the start and kept with the result.

Cautions are no objections: nothing is wrong with the new model, but a person should know. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from m2dino.data.store_reader import StoreReader, TrainingRow
from m2dino.data.value_files import decode_value
from m2dino.errors import M2DinoError, StoreError
from m2dino.tasks import Task
from m2dino.values import ClassProbabilities, Keypoints, Mask, Value

_KEPT = 8192
"""Labels whose short description is remembered: each is read once, however often a button asks."""
_ABSENT = {
    "segmentation": "No mask to learn from shows {}: the model would learn never to draw it.",
    "classification": "No frame to learn from is of the class {}: the model would learn never to say it.",
    "regression": "No frame to learn from shows the point {}.",
}


def label_cautions(store: StoreReader, task: Task, rows: Sequence[TrainingRow]) -> tuple[str, ...]:
    """Say what the labels to learn from leave out: the structure, a class, a point.

    Parameters
    ----------
    store : StoreReader
    task : Task
    rows : sequence of TrainingRow
        Those that train.

    Raises
    ------
    StoreError
        A mask's file has gone or is damaged.
    """
    shown = [_shown(store.folder / "values", row.value) for row in rows]
    seen = frozenset[int]().union(*shown)
    said = []
    empty = sum(not one for one in shown)
    if task.type == "segmentation" and empty:
        said.append(
            f"{empty} of {len(rows)} masks to learn from {'is' if empty == 1 else 'are'} empty: right where the "
            "structure is not in the picture, harmful where it was forgotten."
        )
    first = 1 if task.type == "segmentation" else 0  # 0 is the background
    absent = ", ".join(label.name for index, label in enumerate(task.labels) if index >= first and index not in seen)
    if absent and task.type in _ABSENT:
        said.append(_ABSENT[task.type].format(absent))
    return tuple(said)


def meanwhile(before: Iterable[TrainingRow], after: Iterable[TrainingRow]) -> str:
    """Say how many frames were saved, changed or taken back between two looks at a store; empty where none were."""
    old = {(row.loop_id, row.frame): row.value for row in before}
    new = {(row.loop_id, row.frame): row.value for row in after}
    count = sum(old.get(key) != new.get(key) for key in old.keys() | new.keys())
    if not count:
        return ""
    frames = "1 frame of this task was" if count == 1 else f"{count} frames of this task were"
    return f"While it trained, {frames} saved, changed or taken back: the new model knows nothing of that yet."


def leaning(tasks: Iterable[Task], task: Task) -> tuple[str, ...]:
    """Name the other tasks of a model whose points are read with what a task outlines (`Task.axes_of`).

    Their own answers stay as they were, bit by bit, when this task learns alone; what is read from them does not.

    Parameters
    ----------
    tasks : iterable of Task
        Those that the model knows.
    task : Task
        The one that learns, which the model may not know yet.
    """
    known = {one.id: one for one in tasks}
    if "ellipse" not in {task.outline, known.get(task.id, task).outline}:
        return ()
    return tuple(one.id for one in known.values() if one.axes_of == task.id and one.id != task.id)


def leaning_in_words(names: Sequence[str], task_id: str) -> str:
    """Say that other tasks lean on the one that learns; empty where none do."""
    if not names:
        return ""
    return f"{', '.join(names)}: the points are read with the outline of {task_id}, so they move where it does."


def _shown(folder: Path, text: str) -> frozenset[int]:
    try:
        return _remembered(folder, text)
    except M2DinoError as error:
        raise StoreError(str(error)) from error


@lru_cache(maxsize=_KEPT)
def _remembered(folder: Path, text: str) -> frozenset[int]:
    """Return which classes or points a stored label shows; its text says all of it, for files are never changed."""
    return frozenset(_indices(decode_value(text, folder)))


def _indices(value: Value) -> Iterable[int]:
    if isinstance(value, Mask):
        return (int(index) for index in np.flatnonzero(np.bincount(value.labels.ravel())) if index)
    if isinstance(value, ClassProbabilities):
        return (value.index,)
    if isinstance(value, Keypoints):
        return (int(index) for index in np.flatnonzero(~np.isnan(value.points).any(axis=1)))
    return (0,)
