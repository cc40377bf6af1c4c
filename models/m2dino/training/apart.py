"""A frame that is held out for one task trains in no other, where tasks learn in what they share.

Else a model would be measured, now or when that task is fine-tuned later, on a picture that it has seen. Importing this
needs no torch.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from m2dino.data.records import Key, Record
from m2dino.data.store_reader import StoreReader, TrainingRow
from m2dino.tasks import Task
from m2dino.training.corrections import Corrections, Division
from m2dino.training.refusals import refuse_held_for_others, refuse_nothing_to_learn

Labelled = TypeVar("Labelled", Record, TrainingRow)


def held_for_any(store: StoreReader, also: Iterable[Key] = ()) -> set[Key]:
    """Return the frames that are held out for any task of a store, and the other frames of the same pictures.

    Parameters
    ----------
    store : StoreReader
    also : iterable of (str, int)
        Frames that would be held out as well.
    """
    held = {key for task_id in store.tasks() for key, side in store.holdout(task_id).items() if side} | set(also)
    names = store.picture_names()
    pictures = {names[key] for key in held if key in names}
    return held | {key for key, name in names.items() if name in pictures}


def without(frames: Iterable[Labelled], held: Container[Key]) -> list[Labelled]:
    """Return the labelled frames that are not among those `held`."""
    return [one for one in frames if (one.loop_id, one.frame) not in held]


def plan_apart(store: StoreReader, division: Division, held: set[Key]) -> Division:
    """Return a plan that trains on none of the frames `held`, and says how many that leaves out.

    Raises
    ------
    TooLittleDataError, OneClassError
        What is left says nothing.
    """
    train = without(division.train, held)
    if len(train) == len(division.train):
        return division
    told = _told(store, division.task, len(division.train), train)
    return replace(division, train=train, of_labels=(*division.of_labels, told))


def corrections_apart(store: StoreReader, data: Corrections, held: set[Key]) -> Corrections:
    """Return the corrections that a fine-tune is of, as `plan_apart` does its plan."""
    train = without(data.train, held)
    if len(train) == len(data.train):
        return data
    kept = {(record.loop_id, record.frame) for record in train}
    rows = [row for row in data.rows if (row.loop_id, row.frame) in kept]
    return replace(data, train=train, cautions=(*data.cautions, _told(store, data.task, len(data.train), rows)))


def _told(store: StoreReader, task: Task, frames: int, left: Sequence[TrainingRow]) -> str:
    """Say how many of the frames to learn from are not left; refuse what is left where it says nothing."""
    refuse_held_for_others(task.id, frames, len(left))
    refuse_nothing_to_learn(task, left, store.value)
    left_out = frames - len(left)
    which = "1 corrected frame is" if left_out == 1 else f"{left_out} corrected frames are"
    return f"{which} not learnt from, being held out for other tasks, which learn here, too."
