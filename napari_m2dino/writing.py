"""What waits in a post box, written to a dataset folder. No Qt; called in the writer thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2dino.data.records import Record
from m2dino.tasks import Task

from napari_m2dino.postbox import DraftSave, Item, Save, Withdrawal

if TYPE_CHECKING:
    from m2dino.data.store import Store


def write(store: Store, items: Sequence[Item], seat: str, author: str) -> Record | None:
    """Write what goes in one go; return the record, if it is one.

    Raises
    ------
    StoreError
        The folder does not take it; nothing was written.
    LoopError
        The frame cannot be decoded.
    """
    first = items[0]
    if isinstance(first, Save):
        pixels = first.loop[first.record.frame]
        return store.save(first.record, frame=pixels, task=first.task, seat=seat)
    if isinstance(first, Withdrawal):
        # By another definition it is not ours to take out.
        if knows(store, first.task):
            store.withdraw(first.loop_id, first.frame, first.task.id)
    else:
        store.keep_drafts(one.whole(seat, author) for one in items if isinstance(one, DraftSave))
    return None


def knows(store: Store, task: Task) -> bool:
    """Whether a dataset folder knows a task by this definition, or would take it."""
    known = store.tasks().get(task.id)
    return known is None or known.agrees_with(task)
