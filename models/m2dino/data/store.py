"""The store of corrections: one folder that keeps every human decision, and from which training learns.

`store.sqlite` holds the records, append-only; `frames/` and `values/` hold the pixels, written once and never
replaced; everything else in the folder is the FM_UIA view (see `fmuia_view`), which can be rebuilt from those. What
`save` has returned survives a kill or a power cut at any later instant. Threads and processes may share a store.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from m2dino.cine.loop import Frame
from m2dino.data import drafts as drafts_table
from m2dino.data import fmuia_view, picture_names
from m2dino.data.drafts import Draft
from m2dino.data.durable import write_whole
from m2dino.data.fmuia_view import file_name
from m2dino.data.record_check import check_fits
from m2dino.data.records import Record
from m2dino.data.store_reader import Counts, StoreReader, TrainingRow
from m2dino.data.store_schema import connect, store_errors, transaction
from m2dino.data.subject_key import Subjects, subjects_of
from m2dino.data.value_files import Encoded, encode_frame, encode_proposal, encode_record_value
from m2dino.errors import StoreError, TaskConflictError
from m2dino.tasks import Task

__all__ = ["Counts", "Store"]

Rule = Callable[
    [Sequence[TrainingRow], Mapping[tuple[str, int], bool], Iterable[tuple[str, str]]], Mapping[tuple[str, int], bool]
]
_log = logging.getLogger(__name__)


class Store(StoreReader):
    """A store of corrections; open one with `Store.open`, and close it or use it as a context manager."""

    @classmethod
    def open(cls, path: Path | str, *, create: bool = False) -> Store:
        """Open the store in the folder `path`.

        Parameters
        ----------
        path : path
        create : bool
            Make a new store where there is none.

        Raises
        ------
        StoreError
            There is no store.
        StoreSchemaError
            It was written by a newer version of the program, or its database is damaged.
        StoreWriteError
            It cannot be created.
        """
        folder = Path(path)
        store = cls(folder, connect(folder, create=create))
        store._refresh_view()
        return store

    def save(self, record: Record, frame: Frame | None = None, task: Task | None = None, seat: str = "") -> Record:
        """Save one decision durably, and bring the FM_UIA view up to it.

        Parameters
        ----------
        record : Record
            `created` is filled where empty.
        frame : ndarray of uint8, shape (H, W, 3), optional
            The picture; needed the first time that a frame is labelled, ignored later.
        task : Task, optional
            The definition; needed the first time that a task is saved.
        seat : str
            Whose draft of the frame the decision puts an end to.

        Returns
        -------
        Record
            As stored.

        Raises
        ------
        StoreWriteError
            The disk is full, read-only or busy; nothing was saved.
        TaskConflictError
            The store knows the task with another type or number of classes.
        ValueError
            The value does not fit the task or the frame, or a picture or definition is missing.
        """
        known = self.tasks().get(record.task_id)
        if task is not None and known is not None and not task.agrees_with(known):
            raise TaskConflictError(
                f"{self.folder}: this dataset folder knows the task {task.id} as {known.type} with "
                f"{known.num_classes} labels, not {task.type} with {task.num_classes}; use another dataset folder, or "
                "give your task another id."
            )
        definition = task or known
        if definition is None or definition.id != record.task_id:
            raise ValueError(f"the store does not know the task {record.task_id}: pass its definition")
        size = self.frame_size(record.loop_id, record.frame)
        check_fits(record, definition, size or (frame.shape[:2] if frame is not None else None))
        stored = replace(record, created=record.created or datetime.now(UTC).isoformat(timespec="seconds"))
        value = encode_record_value(stored.value, stored.region) if stored.value is not None else None
        proposal = encode_proposal(stored.proposal) if stored.proposal is not None else None
        picture = encode_frame(frame) if frame is not None and size is None else None
        with self._lock, store_errors(self.folder, writing=True), transaction(self._db):
            if definition != known:
                self._db.execute(
                    "INSERT INTO tasks (task_id, definition) VALUES (?, ?)"
                    " ON CONFLICT (task_id) DO UPDATE SET definition = excluded.definition",
                    (definition.id, json.dumps(definition.to_dict())),
                )
            stem = self._stem(stored.loop_id)
            if picture is not None and frame is not None:
                self._add_frame(stored, stem, picture, frame)
            for encoded in (value, proposal):
                self._add_value_file(encoded)
            self._add_record(stored, stored.fate, value, proposal)
            drafts_table.drop(self._db, stored.loop_id, stored.frame, stored.task_id, seat)
        self._refresh_view(definition)
        return stored

    def put_picture_back(self, loop_id: str, frame: int, picture: Frame) -> None:
        """Write the picture of a frame whose file has gone or is damaged.

        Parameters
        ----------
        loop_id : str
        frame : int
        picture : ndarray of uint8, shape (H, W, 3)
            From the loop of that identity.

        Raises
        ------
        StoreError
            The store knows no such frame, or one of another size.
        StoreWriteError
            The disk is full or read-only.
        """
        size = self.frame_size(loop_id, frame)
        if size != picture.shape[:2]:
            raise StoreError(f"{self.folder}: frame {frame} of this loop is not of the size that the store knows.")
        with self._lock, store_errors(self.folder, writing=True):
            rows = self._query("SELECT stem FROM loops WHERE loop_id = ?", (loop_id,))
            (self.folder / "frames").mkdir(exist_ok=True)
            write_whole(self.folder / "frames" / file_name(rows[0][0], frame), encode_frame(picture))

    def withdraw(self, loop_id: str, frame: int, task_id: str) -> None:
        """Undo a decision: the frame has no label again, and the history keeps what it had.

        Raises
        ------
        StoreWriteError
            The disk is full, read-only or busy; nothing was changed.
        """
        with self._lock, store_errors(self.folder, writing=True), transaction(self._db):
            found = self._latest(loop_id, frame, task_id)
            if found is None or found[3] == "withdrawn":
                return
            created = datetime.now(UTC).isoformat(timespec="seconds")
            tombstone = Record(loop_id, frame, task_id, "rejected", None, created=created, group=found[10])
            self._add_record(tombstone, "withdrawn", None, None)
        self._refresh_view(self.tasks()[task_id])

    def subjects(self) -> Subjects:
        """Return how this store names subjects, so that none is told by a record or an export.

        Raises
        ------
        StoreWriteError
            The disk is full, read-only or busy.
        """
        with self._lock, store_errors(self.folder, writing=True), transaction(self._db):
            return subjects_of(self._db)

    def keep_drafts(self, drafts: Iterable[Draft]) -> None:
        """Keep undecided work durably, each in place of the draft of the same frame and seat; all of it or none.

        Raises
        ------
        StoreWriteError
            The disk is full, read-only or busy; nothing was changed.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock, store_errors(self.folder, writing=True), transaction(self._db):
            for draft in drafts:
                drafts_table.put(self._db, replace(draft, changed=draft.changed or now))

    def divide(self, task_id: str, rule: Rule) -> tuple[list[TrainingRow], dict[tuple[str, int], bool]]:
        """Divide the frames of a task that train into training and held-out ones: once decided, never changed.

        The frames are read, divided and the decision kept in one transaction, so that what others write meanwhile is
        either all in it or not at all, and two programs cannot divide the same loop in two ways.

        Parameters
        ----------
        task_id : str
        rule : callable
            `rule(rows, fixed, groups)`: the frames, earlier decisions by (loop_id, frame), and the (loop_id, group)
            pairs that were ever named; returns for each frame, by (loop_id, frame), whether it is held out. What it
            raises leaves everything as it was.

        Returns
        -------
        rows : list of TrainingRow
        held : dict
            By (loop_id, frame).

        Raises
        ------
        StoreWriteError
            The disk is full, read-only or busy; nothing was changed.
        """
        with self._lock, store_errors(self.folder, writing=True), transaction(self._db):
            rows, fixed = self.training_rows(task_id), self.holdout(task_id)
            held = {**rule(rows, fixed, self.groups(task_id)), **fixed}
            held = {(row.loop_id, row.frame): held[row.loop_id, row.frame] for row in rows}
            self._db.executemany(
                "INSERT OR IGNORE INTO holdout (task_id, loop_id, frame, held) VALUES (?, ?, ?, ?)",
                [(task_id, loop_id, frame, int(side)) for (loop_id, frame), side in held.items()],
            )
        return rows, held

    def rebuild_view(self) -> None:
        """Write the FM_UIA view anew from the records, and clear away what killed programs left.

        Raises
        ------
        StoreWriteError
            The disk is full, read-only or busy; the records are safe.
        """
        with self._lock, store_errors(self.folder, writing=True), transaction(self._db):
            fmuia_view.rebuild(self._db, self.folder, self.views())

    def _stem(self, loop_id: str) -> str:
        """Return the start of the loop's id that names its files, and a number where another loop starts the same."""
        row = self._db.execute("SELECT stem FROM loops WHERE loop_id = ?", (loop_id,)).fetchone()
        if row:
            return str(row[0])
        for number in itertools.count(1):
            stem = loop_id[:16] if number == 1 else f"{loop_id[:16]}-{number}"
            if not self._db.execute("SELECT 1 FROM loops WHERE stem = ?", (stem,)).fetchone():
                break
        self._db.execute("INSERT INTO loops (loop_id, stem) VALUES (?, ?)", (loop_id, stem))
        return stem

    def _add_frame(self, record: Record, stem: str, picture: bytes, frame: Frame) -> None:
        added = self._db.execute(
            "INSERT OR IGNORE INTO frames (loop_id, frame, height, width) VALUES (?, ?, ?, ?)",
            (record.loop_id, record.frame, *frame.shape[:2]),
        )
        if added.rowcount:
            picture_names.keep(self._db, {(record.loop_id, record.frame): picture_names.picture_name(frame)})
            write_whole(self.folder / "frames" / file_name(stem, record.frame), picture)

    def _add_value_file(self, encoded: Encoded | None) -> None:
        if encoded is not None and encoded.file is not None:
            name, data = encoded.file
            path = self.folder / "values" / name
            if not path.is_file():
                write_whole(path, data)

    def _add_record(self, record: Record, fate: str, value: Encoded | None, proposal: Encoded | None) -> None:
        added = self._db.execute(
            "INSERT INTO records (loop_id, frame, task_id, fate, value, proposal, author, seconds, created,"
            " interpolated, group_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.loop_id,
                record.frame,
                record.task_id,
                fate,
                value.text if value else None,
                proposal.text if proposal else None,
                record.author,
                float(record.seconds),
                record.created,
                int(record.interpolated),
                record.group,
            ),
        )
        self.written.add(added.lastrowid or 0)
        self._db.execute(
            "INSERT INTO latest (task_id, loop_id, frame, record) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (task_id, loop_id, frame) DO UPDATE SET record = excluded.record, pending = 1",
            (record.task_id, record.loop_id, record.frame, added.lastrowid),
        )

    def _refresh_view(self, task: Task | None = None) -> None:
        """Bring the view of a task, or of all, up to the records, which are safe already: so this never raises.

        Where the disk refuses, the view stays behind, `check` says so, and the next save or opening tries again.
        """
        try:
            with self._lock, store_errors(self.folder, writing=True):
                for view in self.views():
                    if (task is None or view.task.id == task.id) and not fmuia_view.is_current(self._db, view):
                        with transaction(self._db):
                            fmuia_view.update(self._db, view)
        except StoreError as error:
            _log.warning("The FM_UIA view of the store is behind its records: %s", error)
