"""The corrected frames of a task that may train, divided for good into training and held-out ones."""

from __future__ import annotations

from dataclasses import dataclass

from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.errors import TooLittleDataError
from m2dino.tasks import Task
from m2dino.training.holdout import assign

MIN_FRAMES = 4


@dataclass(frozen=True)
class Corrections:
    """The corrected frames of a task, divided."""

    task: Task
    train: list[Record]
    heldout: list[Record]

    @property
    def loops(self) -> int:
        return len({record.loop_id for record in [*self.train, *self.heldout]})


def corrections(store: Store, task_id: str) -> Corrections:
    """Return the frames of a task that may train, divided for good into training and held-out ones.

    Raises
    ------
    TooLittleDataError
        Fewer than four, or none on one side.
    """
    tasks = store.tasks()
    records = [record for record in store.records(task_id) if record.trains]
    if task_id not in tasks or len(records) < MIN_FRAMES:
        raise TooLittleDataError(
            f"{task_id}: {len(records)} corrected or accepted frames; at least {MIN_FRAMES} are needed. "
            "Accept or correct some more."
        )
    keys = [(record.loop_id, record.frame) for record in records]
    held = assign(keys, store.holdout(task_id))
    store.fix_holdout(task_id, held)
    train = [record for record, key in zip(records, keys, strict=True) if not held[key]]
    heldout = [record for record, key in zip(records, keys, strict=True) if held[key]]
    if not train:
        raise TooLittleDataError(f"{task_id}: all {len(records)} frames are held out; correct frames of another loop.")
    return Corrections(tasks[task_id], train, heldout)
