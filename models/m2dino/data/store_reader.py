"""Reading a store of corrections: records, pictures, counts, the fixed hold-out, the fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from m2dino.cine.loop import Frame
from m2dino.data import drafts as drafts_table
from m2dino.data import picture_names
from m2dino.data.drafts import Draft
from m2dino.data.fmuia_view import TaskView, file_name, is_current
from m2dino.data.image_files import load_image
from m2dino.data.problems import Problem
from m2dino.data.records import Fate, Record
from m2dino.data.store_check import check_store
from m2dino.data.store_schema import store_errors, transaction
from m2dino.data.value_files import decode_proposal, decode_region, decode_value
from m2dino.errors import DatasetError, M2DinoError, StoreError
from m2dino.tasks import Task
from m2dino.values import Value

_COLUMNS = (
    "r.loop_id, r.frame, r.task_id, r.fate, r.value, r.proposal, r.author, r.seconds, r.created, r.interpolated,"
    " r.group_key"
)


@dataclass(frozen=True)
class Counts:
    """How far the review of one task has come.

    Attributes
    ----------
    edited, accepted : int
        Frames that train; interpolated ones are not among them.
    rejected : int
    loops : int
        Loops that the edited and accepted frames come from.
    """

    edited: int
    accepted: int
    rejected: int
    loops: int


class TrainingRow(NamedTuple):
    """A frame that trains, without its pixels.

    Attributes
    ----------
    loop_id : str
    frame : int
    group : str
        Subject or recording; empty where none is known.
    value : str
        The stored text of its label; see `m2dino.data.value_files`.
    """

    loop_id: str
    frame: int
    group: str
    value: str


@dataclass(frozen=True)
class News:
    """What another window or another person has said of a frame.

    Attributes
    ----------
    number : int
        Number of the record: later ones are greater.
    frame : int
    record : Record or None
        None where a decision was taken back.
    counts : bool
        Whether it is the last word on the frame; False where one of this program came after it.
    """

    number: int
    frame: int
    record: Record | None
    counts: bool


def fingerprint_of(rows: Iterable[TrainingRow]) -> str:
    """Return a hash over frames that train: what they are of and what they say, in any order."""
    texts = sorted(json.dumps([row.loop_id, row.frame, row.value]) for row in rows)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


class StoreReader:
    """What can be read from a store; see `Store` for opening one.

    Attributes
    ----------
    folder : Path
    written : set of int
        Numbers of the records that this program has written, which are no news to it.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._db = connection
        self._lock = threading.RLock()
        self.written: set[int] = set()

    def close(self) -> None:
        """Let go of the database; safe to call twice."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, loop_id: str, frame: int, task_id: str) -> Record | None:
        """Return the record that counts for a frame and task, or None where there is none or it was withdrawn.

        Raises
        ------
        StoreError
            A file that the record needs has gone.
        """
        with self._reading():
            found = self._latest(loop_id, frame, task_id)
        return None if found is None or found[3] == "withdrawn" else self._record(found)

    def history(self, loop_id: str, frame: int, task_id: str) -> list[Record | None]:
        """Return every record ever saved for a frame and task, oldest first; None stands for a withdrawal."""
        rows = self._query(
            f"SELECT {_COLUMNS} FROM records r WHERE task_id = ? AND loop_id = ? AND frame = ? ORDER BY id",
            (task_id, loop_id, frame),
        )
        return [None if row[3] == "withdrawn" else self._record(row) for row in rows]

    def records(self, task_id: str | None = None, loop_id: str | None = None) -> list[Record]:
        """Return the records that count, in order of task, loop and frame; see `iter_records` where masks are many."""
        return list(self.iter_records(task_id, loop_id))

    def iter_records(self, task_id: str | None = None, loop_id: str | None = None) -> Iterator[Record]:
        """Yield what `records` returns, reading the pixels of one record at a time.

        Raises
        ------
        StoreError
            A file that a record needs has gone.
        """
        rows = self._query(
            f"SELECT {_COLUMNS} FROM latest l JOIN records r ON r.id = l.record WHERE r.fate != 'withdrawn'"
            " AND (?1 IS NULL OR l.task_id = ?1) AND (?2 IS NULL OR l.loop_id = ?2)"
            " ORDER BY l.task_id, l.loop_id, l.frame",
            (task_id, loop_id),
        )
        for row in rows:
            yield self._record(row)

    def drafts(self, loop_id: str, task_id: str) -> list[Draft]:
        """Return the undecided work on a loop for a task, of every seat, in order of its frames."""
        with self._reading():
            return drafts_table.read(self._db, loop_id, task_id, self.folder / "values")

    def places_of_drafts(self) -> list[tuple[str, str]]:
        """Return the (loop_id, task_id) pairs that there is undecided work on."""
        with self._reading():
            return drafts_table.places(self._db)

    def last_number(self) -> int:
        """Return the number of the newest record; see `news`."""
        return int(self._query("SELECT coalesce(max(id), 0) FROM records")[0][0])

    def news(self, loop_id: str, task_id: str, after: int) -> list[News]:
        """Return what others have said of a loop after record number `after`: the newest word on each frame."""
        rows = self._query(
            f"SELECT {_COLUMNS}, r.id, l.record FROM records r"
            " JOIN latest l ON l.task_id = r.task_id AND l.loop_id = r.loop_id AND l.frame = r.frame"
            " WHERE r.task_id = ? AND r.loop_id = ? AND r.id > ? ORDER BY r.id",
            (task_id, loop_id, after),
        )
        newest = {row[1]: row for row in rows if row[11] not in self.written}
        return [
            News(row[11], frame, None if row[3] == "withdrawn" else self._record(row[:11]), row[11] == row[12])
            for frame, row in sorted(newest.items())
        ]

    def fates(self, loop_id: str, task_id: str) -> dict[int, Fate]:
        """Return the fate of every reviewed frame of a loop, by frame, without reading any pixels."""
        rows = self._query(
            "SELECT l.frame, r.fate FROM latest l JOIN records r ON r.id = l.record"
            " WHERE l.task_id = ? AND l.loop_id = ? AND r.fate != 'withdrawn' ORDER BY l.frame",
            (task_id, loop_id),
        )
        return dict(rows)

    def labelled(self, task_id: str, fates: Collection[Fate] = ("edited", "accepted")) -> dict[str, list[int]]:
        """Return the frames of a task with one of these fates by loop id, in order; interpolated ones are left out."""
        rows = self._query(
            "SELECT l.loop_id, l.frame, r.fate FROM latest l JOIN records r ON r.id = l.record"
            " WHERE l.task_id = ? AND r.interpolated = 0 AND r.fate != 'withdrawn' ORDER BY l.loop_id, l.frame",
            (task_id,),
        )
        found: dict[str, list[int]] = {}
        for loop_id, frame, fate in rows:
            if fate in fates:
                found.setdefault(loop_id, []).append(frame)
        return found

    def counts(self, task_id: str) -> Counts:
        """Return how many frames of a task have which fate."""
        rows = self._query(
            "SELECT r.fate, r.interpolated, l.loop_id FROM latest l JOIN records r ON r.id = l.record"
            " WHERE l.task_id = ?",
            (task_id,),
        )
        of = [fate for fate, interpolated, _ in rows if not interpolated]
        loops = {loop for fate, interpolated, loop in rows if fate in ("edited", "accepted") and not interpolated}
        return Counts(of.count("edited"), of.count("accepted"), of.count("rejected"), len(loops))

    def tasks(self) -> dict[str, Task]:
        """Return the definition of every task with a record, as last saved, in order of first use."""
        rows = self._query("SELECT definition FROM tasks ORDER BY number")
        found = [Task.from_dict(json.loads(text), where=str(self.folder)) for (text,) in rows]
        return {task.id: task for task in found}

    def frame(self, loop_id: str, frame: int) -> Frame:
        """Return a frame's picture, (H, W, 3) uint8 RGB.

        Raises
        ------
        StoreError
            The store has no such frame, or its file is missing or damaged.
        """
        rows = self._query(
            "SELECT s.stem FROM frames f JOIN loops s ON s.loop_id = f.loop_id WHERE f.loop_id = ? AND f.frame = ?",
            (loop_id, frame),
        )
        if not rows:
            raise StoreError(f"{self.folder}: the store holds no picture of frame {frame} of this loop.")
        try:
            return load_image(self.folder / "frames" / file_name(rows[0][0], frame))
        except DatasetError as error:
            raise StoreError(str(error)) from error

    def missing_pictures(self, task_id: str | None = None, *, damaged: bool = False) -> dict[str, list[int]]:
        """Return the frames whose pictures have gone from the folder, by loop id, in order.

        Parameters
        ----------
        task_id : str, optional
            Look at the frames that train this task only; without, at every frame of the store.
        damaged : bool
            Read every picture, and count those that cannot be read, too.
        """
        rows = self._query(
            "SELECT s.stem, f.loop_id, f.frame FROM frames f JOIN loops s ON s.loop_id = f.loop_id ORDER BY 2, 3"
        )
        if task_id is not None:
            training = {(row.loop_id, row.frame) for row in self.training_rows(task_id)}
            rows = [row for row in rows if (row[1], row[2]) in training]
        there = self._picture_names()
        found: dict[str, list[int]] = {}
        for stem, loop_id, frame in rows:
            if file_name(stem, frame) not in there or (damaged and not self._readable(loop_id, frame)):
                found.setdefault(loop_id, []).append(frame)
        return found

    def _picture_names(self) -> set[str]:
        try:
            with os.scandir(self.folder / "frames") as entries:
                return {entry.name for entry in entries}
        except OSError:
            return set()

    def _readable(self, loop_id: str, frame: int) -> bool:
        with contextlib.suppress(StoreError):
            return self.frame(loop_id, frame).shape[:2] == self.frame_size(loop_id, frame)
        return False

    def frame_size(self, loop_id: str, frame: int) -> tuple[int, int] | None:
        """Return (height, width) of a frame whose picture the store holds, without reading it; else None."""
        rows = self._query("SELECT height, width FROM frames WHERE loop_id = ? AND frame = ?", (loop_id, frame))
        return rows[0] if rows else None

    def picture_names(self) -> dict[tuple[str, int], str]:
        """Return what frames show, by (loop_id, frame): frames of the same pixels have the same name.

        Left out are frames of one colour, and those of an older store whose picture has gone. Such a store's pictures
        are read once, and their names kept where the folder can be written to.
        """
        with self._reading():
            names = picture_names.read(self._db)
            frames = self._db.execute("SELECT loop_id, frame FROM frames").fetchall()
        new: dict[tuple[str, int], str] = {}
        for key in frames:
            if key not in names:
                with contextlib.suppress(StoreError):
                    new[key] = picture_names.picture_name(self.frame(*key))
        if new and not self._db.in_transaction:
            with (
                contextlib.suppress(StoreError),
                self._lock,
                store_errors(self.folder, writing=True),
                transaction(self._db),
            ):
                picture_names.keep(self._db, new)
        return {key: name for key, name in {**names, **new}.items() if name}

    def holdout(self, task_id: str) -> dict[tuple[str, int], bool]:
        """Return the frames, by (loop_id, frame), whose side is fixed: True is held out for validation."""
        rows = self._query("SELECT loop_id, frame, held FROM holdout WHERE task_id = ?", (task_id,))
        return {(loop_id, frame): bool(held) for loop_id, frame, held in rows}

    def training_rows(self, task_id: str) -> list[TrainingRow]:
        """Return the frames of a task that train by default, in order of loop and frame, without reading any pixels."""
        rows = self._query(
            "SELECT l.loop_id, l.frame, r.group_key, r.value FROM latest l JOIN records r ON r.id = l.record"
            " WHERE l.task_id = ? AND r.fate IN ('edited', 'accepted') AND r.interpolated = 0"
            " ORDER BY l.loop_id, l.frame",
            (task_id,),
        )
        return [TrainingRow(*row) for row in rows]

    def groups(self, task_id: str) -> set[tuple[str, str]]:
        """Return every (loop id, group) that a record of a task ever named, withdrawn ones included."""
        return set(self._query("SELECT DISTINCT loop_id, group_key FROM records WHERE task_id = ?", (task_id,)))

    def value(self, row: TrainingRow) -> Value:
        """Return the label of a frame that trains.

        Raises
        ------
        StoreError
            Its file has gone or is damaged.
        """
        try:
            return decode_value(row.value, self.folder / "values")
        except M2DinoError as error:
            raise StoreError(str(error)) from error

    def fingerprint(self, task_id: str) -> str:
        """Return `fingerprint_of` the frames of a task that train now."""
        return fingerprint_of(self.training_rows(task_id))

    def check(self) -> list[Problem]:
        """Return every problem of the store: database, pictures, values and view; empty when it is sound."""
        with self._reading():
            return check_store(self._db, self.folder, self.views())

    def views(self) -> list[TaskView]:
        """Return where each task stands in the FM_UIA view."""
        rows = self._query("SELECT number, definition FROM tasks ORDER BY number")
        return [
            TaskView(self.folder, Task.from_dict(json.loads(text), where=str(self.folder)), number)
            for number, text in rows
        ]

    def view_is_current(self) -> bool:
        """Whether the FM_UIA view shows every record."""
        with self._reading():
            return all(is_current(self._db, view) for view in self.views())

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, store_errors(self.folder, writing=False):
            yield

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._reading():
            return self._db.execute(sql, values).fetchall()

    def _latest(self, loop_id: str, frame: int, task_id: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(
            f"SELECT {_COLUMNS} FROM latest l JOIN records r ON r.id = l.record"
            " WHERE l.task_id = ? AND l.loop_id = ? AND l.frame = ?",
            (task_id, loop_id, frame),
        ).fetchone()
        return row

    def _record(self, row: tuple[Any, ...]) -> Record:
        loop_id, frame, task_id, fate, value, proposal, author, seconds, created, interpolated, group = row
        folder = self.folder / "values"
        try:
            return Record(
                loop_id,
                frame,
                task_id,
                fate,
                decode_value(value, folder) if value is not None else None,
                decode_proposal(proposal, frame, task_id, folder) if proposal is not None else None,
                author,
                seconds,
                created,
                bool(interpolated),
                group,
                decode_region(value),
            )
        except M2DinoError as error:
            raise StoreError(str(error)) from error
