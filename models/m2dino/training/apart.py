"""A frame that is held out for one task trains in no other, where tasks learn in what they share.

Else a model would be measured, now or when that task is fine-tuned later, on a picture that it has seen. Importing this
needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from m2dino.data.store_reader import StoreReader
from m2dino.training.corrections import Corrections, Division
from m2dino.training.holdout import Key
from m2dino.training.refusals import refuse_held_for_others, refuse_nothing_to_learn


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


def plan_apart(store: StoreReader, division: Division, held: set[Key]) -> Division:
    """Return a plan that trains on none of the frames `held`, and says how many that leaves out.

    Raises
    ------
    TooLittleDataError, OneClassError
        What is left says nothing.
    """
    train = [row for row in division.train if (row.loop_id, row.frame) not in held]
    left_out = len(division.train) - len(train)
    if not left_out:
        return division
    refuse_held_for_others(division.task.id, len(division.train), len(train))
    refuse_nothing_to_learn(division.task, train, store.value)
    return replace(division, train=train, of_labels=(*division.of_labels, _told(left_out)))


def corrections_apart(store: StoreReader, data: Corrections, held: set[Key]) -> Corrections:
    """Return the corrections that a fine-tune is of, as `plan_apart` does its plan."""
    train = [record for record in data.train if (record.loop_id, record.frame) not in held]
    left_out = len(data.train) - len(train)
    if not left_out:
        return data
    refuse_held_for_others(data.task.id, len(data.train), len(train))
    kept = {(record.loop_id, record.frame) for record in train}
    rows = [row for row in data.rows if (row.loop_id, row.frame) in kept]
    refuse_nothing_to_learn(data.task, rows, store.value)
    return replace(data, train=train, cautions=(*data.cautions, _told(left_out)))


def _told(left_out: int) -> str:
    which = "1 corrected frame is" if left_out == 1 else f"{left_out} corrected frames are"
    return f"{which} not learnt from, being held out for other tasks, which learn here, too."
