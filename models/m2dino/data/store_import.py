"""Labelled rows as accepted records: the way into a store for labels that exist already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from m2dino.cine.loop import CineLoop
from m2dino.cine.opening import open_loop
from m2dino.data.records import Record
from m2dino.data.row_values import label_value
from m2dino.data.rows import Row
from m2dino.data.store import Store
from m2dino.errors import DatasetError
from m2dino.progress import OnProgress, ignore_progress
from m2dino.tasks import Task
from m2dino.values import Mask, Value


@dataclass(frozen=True)
class Imported:
    """What became of the rows: saved, already in the store with the same label, or images that an earlier row had."""

    saved: int
    known: int
    repeated: int


def import_rows(store: Store, rows: Sequence[Row], task: Task, on_progress: OnProgress = ignore_progress) -> Imported:
    """Save rows of one task as accepted records; safe to break off and to repeat.

    Each image is a loop of one frame, known by its content. No file name enters the store, since names may hold dates
    and people: a subject told by a name is kept as a hash of it. Of two rows for the same picture the first is kept.

    Raises
    ------
    DatasetError, MissingFileError, LoopError
        An image or a label is missing, damaged, or does not fit the other; rows before it are saved.
    StoreWriteError
        The disk is full or read-only; rows before are saved.
    """
    saved = known = 0
    seen: set[str] = set()
    for done, row in enumerate(rows):
        on_progress(done, len(rows), "importing")
        loop = open_loop(row.image)
        try:
            if loop.identity in seen:
                continue
            seen.add(loop.identity)
            value = label_value(row)
            if isinstance(value, Mask) and value.labels.shape != (loop.height, loop.width):
                raise DatasetError(
                    f"{row.mask}: the mask is {value.labels.shape[1]} wide and {value.labels.shape[0]} high, its image "
                    f"{loop.width} wide and {loop.height} high ({row.csv.name}, line {row.line})."
                )
            record = Record(loop.identity, 0, task.id, "accepted", value, group=_subject(row))
            before = store.get(loop.identity, 0, task.id)
            if before is not None and before.value == value:
                known += 1
                continue
            store.save(record, loop[0], task)
            saved += 1
        finally:
            loop.close()
    on_progress(len(rows), len(rows), "")
    return Imported(saved, known, len(rows) - saved - known)


def import_values(
    store: Store, loop: CineLoop, task: Task, values: Mapping[int, Value], on_progress: OnProgress = ignore_progress
) -> Imported:
    """Save values of a loop's frames as accepted records; safe to break off and to repeat.

    Parameters
    ----------
    store : Store
    loop : CineLoop
    task : Task
    values : mapping of int to Mask, Box, Keypoints or ClassProbabilities
        By frame; see `m2dino.export.read_coco` and `read_fmuia`.

    Raises
    ------
    FrameDecodeError
        A frame's picture cannot be decoded; frames before it are saved.
    StoreWriteError
        The disk is full or read-only; frames before are saved.
    """
    saved = known = 0
    for done, (frame, value) in enumerate(values.items()):
        on_progress(done, len(values), "importing")
        before = store.get(loop.identity, frame, task.id)
        if before is not None and before.value == value:
            known += 1
            continue
        store.save(Record(loop.identity, frame, task.id, "accepted", value), loop[frame], task)
        saved += 1
    on_progress(len(values), len(values), "")
    return Imported(saved, known, 0)


def _subject(row: Row) -> str:
    """Return a name for the subject that tells nobody who it is; empty where only the image is known."""
    if row.group.startswith("image:"):
        return ""
    return hashlib.sha256(row.group.encode()).hexdigest()[:16]
