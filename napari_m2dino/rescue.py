"""Work that a dataset folder had not taken when the program ended: kept until it does. No widgets.

Each dataset folder has a rescue folder among what this installation keeps for itself, named by a hash of its path. It
is a dataset folder like any other, so that labels in it can be looked at and imported if the first never comes back.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.errors import M2DinoError, TaskConflictError

from napari_m2dino.places import state_folder
from napari_m2dino.postbox import DraftSave, PostBox, Save
from napari_m2dino.writing import write

if TYPE_CHECKING:
    from m2dino.data.store import Store


@dataclass(frozen=True)
class BroughtBack:
    """What came of bringing work back: how many decisions are in the dataset folder now, and how many are not."""

    saved: int = 0
    left: int = 0


def rescue_folder(dataset: Path) -> Path:
    """Return where work for a dataset folder is kept that it does not take."""
    name = hashlib.blake2b(str(dataset.absolute()).encode(), digest_size=8).hexdigest()
    return state_folder() / "not_saved_yet" / name


def rescue(box: PostBox, seat: str, author: str) -> tuple[int, int]:
    """Keep what still waits in a box; return how many decisions and drafts are kept, and how many are lost.

    What was to be taken out of the dataset folder stays in it.
    """
    from m2dino.data.store import Store

    items = [item for item in box.everything() if isinstance(item, Save | DraftSave)]
    if not items:
        return 0, 0
    kept = 0
    try:
        with Store.open(rescue_folder(box.folder), create=True) as store:
            for item in items:
                try:
                    write(store, [item], seat, author)
                    kept += 1
                except (M2DinoError, OSError, ValueError):
                    continue  # such as a frame that cannot be decoded any more: the others are worth keeping
    except (M2DinoError, OSError):
        pass
    return kept, len(items) - kept


def bring_back(store: Store, seat: str) -> BroughtBack:
    """Save what was rescued for a dataset folder, but where a later decision is there, and forget it then.

    Raises
    ------
    StoreError, OSError
        It cannot be read, or the dataset folder does not take it; what is not saved stays where it is.
    """
    folder = rescue_folder(store.folder)
    if not folder.is_dir():
        return BroughtBack()
    saved = left = 0
    from m2dino.data.store import Store

    with Store.open(folder) as rescued:
        tasks = rescued.tasks()
        for record in rescued.records():
            there = store.get(record.loop_id, record.frame, record.task_id)
            if there is None or there.created < record.created:
                try:
                    picture = rescued.frame(record.loop_id, record.frame)
                    store.save(record, picture, tasks[record.task_id], seat)
                except TaskConflictError:
                    left += 1
                    continue
                saved += 1
            # Killed in between, the rest comes back next time, and this does not come twice.
            rescued.withdraw(record.loop_id, record.frame, record.task_id)
        for loop_id, task_id in rescued.places_of_drafts():
            store.keep_drafts(rescued.drafts(loop_id, task_id))
    if not left:
        shutil.rmtree(folder, ignore_errors=True)
    return BroughtBack(saved, left)
