"""Labelled rows as accepted records: the way into a store for labels that exist already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from m2dino.cine.loop import CineLoop
from m2dino.cine.opening import open_loop
from m2dino.data.picture_names import picture_name
from m2dino.data.records import Key, Record
from m2dino.data.row_values import label_value
from m2dino.data.rows import Row
from m2dino.data.store import Store
from m2dino.data.subject_key import Subjects
from m2dino.errors import DatasetError
from m2dino.progress import OnProgress, ignore_progress
from m2dino.tasks import Task
from m2dino.values import Mask, Value

_Standing = Literal["saved", "known", "kept"]


@dataclass(frozen=True)
class Imported:
    """What became of the rows.

    Attributes
    ----------
    saved : int
    known : int
        Already in the store with the same label.
    kept : int
        Left as a person decided them: corrected, rejected, accepted otherwise, or the import itself taken back.
    repeated : int
        Of an image that an earlier row had.
    """

    saved: int
    known: int
    kept: int
    repeated: int


def import_rows(store: Store, rows: Sequence[Row], task: Task, on_progress: OnProgress = ignore_progress) -> Imported:
    """Save rows of one task as accepted records; safe to break off and to repeat.

    Each image is a loop of one frame, known by its content; one that the store has already, as a frame of whatever
    loop, is that frame, so that an export that comes back doubles nothing. No file name enters the store, since names
    may hold dates and people: a subject told by a name or number is kept as a hash of it, made with a key that only the
    store has (see `m2dino.data.subject_key`). Of two rows for the same picture the first is kept. A label that was
    imported before becomes the row's; what a person has decided stays as it is.

    Raises
    ------
    DatasetError, MissingFileError, LoopError
        An image or a label is missing, damaged, or does not fit the other; rows before it are saved.
    StoreWriteError
        The disk is full or read-only; rows before are saved.
    """
    told: Counter[_Standing] = Counter()
    seen: set[Key] = set()
    subjects = store.subjects()
    # Of frames that show the same, the first.
    known = {name: key for key, name in sorted(store.picture_names().items(), reverse=True)}
    for done, row in enumerate(rows):
        on_progress(done, len(rows), "importing")
        loop = open_loop(row.image)
        try:
            key = _place(store, loop, known)
            if key in seen:
                continue
            seen.add(key)
            value = label_value(row)
            if isinstance(value, Mask) and value.labels.shape != (loop.height, loop.width):
                raise DatasetError(
                    f"{row.mask}: the mask is {value.labels.shape[1]} wide and {value.labels.shape[0]} high, its image "
                    f"{loop.width} wide and {loop.height} high ({row.csv.name}, line {row.line})."
                )
            standing = _standing(store, *key, task.id, value)
            if standing == "saved":
                record = Record(*key, task.id, "accepted", value, group=_subject(row, subjects))
                store.save(record, loop[0], task)
            told[standing] += 1
        finally:
            loop.close()
    on_progress(len(rows), len(rows), "")
    return Imported(told["saved"], told["known"], told["kept"], len(rows) - told.total())


def import_values(
    store: Store, loop: CineLoop, task: Task, values: Mapping[int, Value], on_progress: OnProgress = ignore_progress
) -> Imported:
    """Save values of a loop's frames as accepted records; safe to break off and to repeat.

    A label that was imported before becomes the new one; what a person has decided stays as it is.

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
    told: Counter[_Standing] = Counter()
    store.subjects()  # the store's key is made before its first record, or never
    for done, (frame, value) in enumerate(values.items()):
        on_progress(done, len(values), "importing")
        standing = _standing(store, loop.identity, frame, task.id, value)
        if standing == "saved":
            store.save(Record(loop.identity, frame, task.id, "accepted", value), loop[frame], task)
        told[standing] += 1
    on_progress(len(values), len(values), "")
    return Imported(told["saved"], told["known"], told["kept"], 0)


def _place(store: Store, loop: CineLoop, known: Mapping[str, Key]) -> Key:
    """Return the frame of the store that an image is: its own, else one of the same picture, else a new one."""
    own = (loop.identity, 0)
    return own if store.frame_size(*own) is not None else known.get(picture_name(loop[0]), own)


def _standing(store: Store, loop_id: str, frame: int, task_id: str, value: Value) -> _Standing:
    """Return whether an imported value is to be saved, is known already, or has to leave a person's word alone."""
    before = store.get(loop_id, frame, task_id)
    if before is not None:
        if before.value == value:
            return "known"
        return "saved" if _is_import(before) else "kept"
    # Without a label, or taken back. A person who took an import back does not want it again; where something else was
    # taken back, the frame is undecided, and as good as new.
    history = store.history(loop_id, frame, task_id)
    return "kept" if any(record is not None and _is_import(record) for record in history) else "saved"


def _is_import(record: Record) -> bool:
    """Whether a record is as an import leaves it, so that no person has said anything of the frame since.

    What a person decides in the window came from a proposal, took time, or names its author, its part of the frame or,
    at the least, the loop as its group.
    """
    touched = record.proposal or record.author or record.seconds or record.interpolated or record.region
    return record.fate == "accepted" and not touched and record.group != record.loop_id


def _subject(row: Row, subjects: Subjects) -> str:
    """Return a name for the subject that tells nobody who it is; empty where only the image is known."""
    return "" if row.known_by_path else subjects.name(row.group)
