"""Saving off the GUI thread: one writer thread owns the dataset folder; every decision is written as it is made.

A save that fails is told once, kept, and tried again: at the next save, on request, and every `RETRY_S` seconds. Until
it succeeds the frame counts as unsaved. Records are written in the order in which they were made.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.cine.loop import CineLoop
from m2dino.data.records import Record
from m2dino.errors import StoreError
from m2dino.tasks import Task
from qtpy.QtCore import QObject, Signal

from napari_m2dino.background import BackgroundThread
from napari_m2dino.errors import explain

if TYPE_CHECKING:
    from m2dino.data.store import Store

RETRY_S = 10.0


@dataclass(frozen=True)
class Save:
    """One record to write, with what the dataset needs beside it."""

    record: Record
    loop: CineLoop
    task: Task

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.record.loop_id, self.record.task_id, self.record.frame)


@dataclass(frozen=True)
class Holdings:
    """What the dataset folder holds for a task."""

    folder: Path
    task_id: str
    training: int
    loops: int
    rejected: int


class Autosave(QObject):
    """The writer thread and its post box.

    Signals
    -------
    saved : Record as the store returned it
    failed : sentence; the records concerned are kept and tried again
    refused : (Record, sentence), a record that can never be saved, such as one of a frame that cannot be decoded
    restored : (loop id, task id, list of Record)
    holdings : Holdings
    tasks : list of Task that the folder knows
    """

    saved = Signal(object)
    failed = Signal(str)
    refused = Signal(object, str)
    restored = Signal(str, str, object)
    holdings = Signal(object)
    tasks = Signal(object)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._thread = BackgroundThread("m2dino saving")
        self._store: tuple[Path, Store] | None = None
        self._lock = threading.Lock()
        self._waiting: OrderedDict[tuple[str, str, int], Save] = OrderedDict()
        self._complained = False

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.alive

    @property
    def waiting(self) -> int:
        """How many records are not on the disk yet."""
        with self._lock:
            return len(self._waiting)

    def save(self, save: Save) -> None:
        """Queue a record; a later one of the same frame replaces it."""
        with self._lock:
            self._waiting.pop(save.key, None)
            self._waiting[save.key] = save
        self._thread.submit(self._flush)

    def retry(self) -> None:
        """Try again what failed."""
        if self.waiting:
            self._thread.submit(self._flush)

    def withdraw(self, loop_id: str, task: Task, frame: int) -> None:
        """Take the record of a frame out of the dataset; its history stays."""
        with self._lock:
            self._waiting.pop((loop_id, task.id, frame), None)
        self._thread.submit(lambda: self._withdraw(loop_id, task, frame))

    def restore(self, loop_id: str, task: Task) -> None:
        """Ask for the saved records of a loop; the answer is `restored`."""
        self._thread.submit(lambda: self._restore(loop_id, task))

    def count(self, task: Task) -> None:
        """Ask for what the folder holds; the answer is `holdings`."""
        self._thread.submit(lambda: self._guarded(lambda: self._count(task), "counting the saved frames"))

    def after_all(self, then: Callable[[], None]) -> None:
        """Run `then` in the writer thread once everything queued before is done."""
        self._thread.submit(then)

    def move_to(self, folder: Path) -> None:
        """Use another dataset folder from now on; what waits is written to the new one."""
        self.folder = folder
        self._complained = False
        self.retry()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Write what waits, end the thread, and return whether it ended in time."""
        if self._thread.alive:
            self._thread.submit(self._close)
        return self._thread.stop(timeout_s, finish=True)

    # -- in the thread -----------------------------------------------------------------------------------------------
    def _send(self, signal: str, *values: object) -> None:
        # RuntimeError: the window went while we wrote; the record is on the disk all the same.
        with contextlib.suppress(RuntimeError):
            getattr(self, signal).emit(*values)

    def _open(self, create: bool = True) -> Store | None:
        if self._store is None or self._store[0] != self.folder:
            if not create and not self.folder.exists():
                return None  # looking must not leave an empty folder behind
            from m2dino.data.store import Store

            self._close()
            self._store = (self.folder, Store.open(self.folder, create=True))
        return self._store[1]

    def _close(self) -> None:
        if self._store is not None:
            store, self._store = self._store[1], None
            store.close()

    def _guarded(self, work: Callable[[], None], doing: str) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: whatever it is, a person is told
            self._store = None
            self._send("failed", explain(error, doing))

    def _flush(self) -> None:
        while True:
            with self._lock:
                save = next(iter(self._waiting.values()), None)
            if save is None:
                self._complained = False
                return
            try:
                store = self._open()
                assert store is not None
                pixels = save.loop[save.record.frame]
                record = store.save(save.record, frame=pixels, task=save.task)
            except (StoreError, OSError) as error:
                self._store = None
                if not self._complained:
                    self._complained = True
                    self._send("failed", f"Not saved yet: {explain(error, 'saving')}")
                return
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: trying again would change nothing
                self._forget(save)
                self._send("refused", save.record, f"Not saved: {explain(error, 'saving')}")
                continue
            self._forget(save)
            self._send("saved", record)
            self._guarded(lambda task=save.task: self._count(task), "counting the saved frames")  # type: ignore[misc]

    def _forget(self, save: Save) -> None:
        """Take a record off the list, unless a newer one of the same frame has taken its place."""
        with self._lock:
            if self._waiting.get(save.key) is save:
                del self._waiting[save.key]

    def _withdraw(self, loop_id: str, task: Task, frame: int) -> None:
        def work() -> None:
            store = self._open()
            assert store is not None
            store.withdraw(loop_id, frame, task.id)
            self._count(task)

        self._guarded(work, "taking a frame back")

    def _restore(self, loop_id: str, task: Task) -> None:
        def work() -> None:
            store = self._open(create=False)
            records = [] if store is None else store.records(loop_id=loop_id, task_id=task.id)
            self._send("tasks", [] if store is None else list(store.tasks().values()))
            self._send("restored", loop_id, task.id, records)
            self._count(task)

        self._guarded(work, "reading the saved frames")

    def _count(self, task: Task) -> None:
        store = self._open(create=False)
        if store is None:
            self._send("holdings", Holdings(self.folder, task.id, 0, 0, 0))
            return
        counts = store.counts(task.id)
        training = counts.edited + counts.accepted
        self._send("holdings", Holdings(self.folder, task.id, training, counts.loops, counts.rejected))
