"""Saving off the GUI thread: one writer thread owns the dataset folder; every decision and change is written at once.

A save that fails is told once, kept, and tried again: at the next save, on request, and every `RETRY_S` seconds. Until
it succeeds the frame counts as unsaved. Records are written in the order in which they were made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.data.records import Record
from m2dino.errors import StoreError
from m2dino.tasks import Task
from qtpy.QtCore import QObject, Signal

from napari_m2dino.background import BackgroundThread, send
from napari_m2dino.errors import explain
from napari_m2dino.postbox import DraftSave, Item, PostBox, Save, Withdrawal

if TYPE_CHECKING:
    from m2dino.data.store import Store

RETRY_S = 10.0


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
    failed : sentence; what it concerns is kept and tried again
    recovered : the disk takes what is written again
    refused : (Record, sentence), a record that can never be saved, such as one of a frame that cannot be decoded
    restored : (loop id, task id, list of Record)
    drafts : (loop id, task id, list of Draft), after `restored`
    news : (loop id, task id, list of News), what others have decided on meanwhile
    holdings : Holdings
    tasks : list of Task that the folder knows
    """

    saved = Signal(object)
    failed = Signal(str)
    recovered = Signal()
    refused = Signal(object, str)
    restored = Signal(str, str, object)
    drafts = Signal(str, str, object)
    news = Signal(str, str, object)
    holdings = Signal(object)
    tasks = Signal(object)

    def __init__(self, folder: Path, seat: str = "") -> None:
        super().__init__()
        self.folder = folder
        self.seat = seat
        self.author = ""
        self._thread = BackgroundThread("m2dino saving")
        self._store: tuple[Path, Store] | None = None
        self._box = PostBox()
        self._written: set[int] = set()
        self._known: dict[tuple[str, str], int] = {}
        self._complained = False

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.alive

    @property
    def waiting(self) -> int:
        """How many decisions are not on the disk yet."""
        return self._box.count(drafts=False)

    @property
    def unkept(self) -> int:
        """How many decisions and drafts are not on the disk yet."""
        return self._box.count(drafts=True)

    def save(self, save: Save) -> None:
        """Queue a record; a later one of the same frame replaces it, and it ends the draft of the frame."""
        self._post(save)

    def keep(self, drafts: Iterable[DraftSave]) -> None:
        """Queue undecided work; later work on the same frame replaces it."""
        self._post(*drafts)

    def withdraw(self, loop_id: str, task: Task, frame: int) -> None:
        """Take the record of a frame out of the dataset; its history stays."""
        self._post(Withdrawal(loop_id, task, frame))

    def _post(self, *items: Item) -> None:
        for item in items:
            self._box.put(item)
        self._thread.submit(self._flush)

    def retry(self) -> None:
        """Try again what failed."""
        if self.unkept:
            self._thread.submit(self._flush)

    def ask_for_news(self, loop_id: str, task: Task) -> None:
        """Ask whether another window or person has decided on frames of a loop; the answer, if any, is `news`."""
        self._thread.submit(lambda: self._ask(loop_id, task))

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
    def _open(self, create: bool = True) -> Store | None:
        if self._store is None or self._store[0] != self.folder:
            if not create and not self.folder.exists():
                return None  # looking must not leave an empty folder behind
            from m2dino.data.store import Store

            self._close()
            self._store = (self.folder, Store.open(self.folder, create=True))
            self._store[1].written = self._written
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
            send(self, "failed", explain(error, doing))

    def _flush(self) -> None:
        while items := self._box.first():
            try:
                store = self._open()
                assert store is not None
                said = self._write(store, items)
            except (StoreError, OSError) as error:
                self._store = None
                if not self._complained:
                    self._complained = True
                    send(self, "failed", f"Not saved yet: {explain(error, 'saving')}")
                return
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: trying again would change nothing
                self._box.done(items)
                sentence = f"Not saved: {explain(error, 'saving')}"
                if isinstance(items[0], Save):
                    send(self, "refused", items[0].record, sentence)
                else:
                    send(self, "failed", sentence)
                continue
            self._box.done(items)
            if self._complained:
                self._complained = False
                send(self, "recovered")
            if said is not None:
                send(self, "saved", said)
            if not isinstance(items[0], DraftSave):
                self._guarded(lambda task=items[0].task: self._count(task), "counting the saved frames")  # type: ignore[misc]

    def _write(self, store: Store, items: Sequence[Item]) -> Record | None:
        """Write what goes in one go; return the record, if it is one."""
        first = items[0]
        if isinstance(first, Save):
            pixels = first.loop[first.record.frame]
            return store.save(first.record, frame=pixels, task=first.task, seat=self.seat)
        if isinstance(first, Withdrawal):
            store.withdraw(first.loop_id, first.frame, first.task.id)
        else:
            store.keep_drafts(one.whole(self.seat, self.author) for one in items if isinstance(one, DraftSave))
        return None

    def _restore(self, loop_id: str, task: Task) -> None:
        def work() -> None:
            store = self._open(create=False)
            self._known[loop_id, task.id] = 0 if store is None else store.last_number()
            records = [] if store is None else store.records(loop_id=loop_id, task_id=task.id)
            send(self, "tasks", [] if store is None else list(store.tasks().values()))
            send(self, "restored", loop_id, task.id, records)
            send(self, "drafts", loop_id, task.id, [] if store is None else store.drafts(loop_id, task.id))
            self._count(task)

        self._guarded(work, "reading the saved frames")

    def _ask(self, loop_id: str, task: Task) -> None:
        def work() -> None:
            store = self._open(create=False)
            known = self._known.get((loop_id, task.id))
            if store is None or known is None:
                return
            if news := store.news(loop_id, task.id, known):
                self._known[loop_id, task.id] = max(one.number for one in news)
                send(self, "news", loop_id, task.id, news)
                self._count(task)

        # Whether the folder can be reached is said where something is to be saved, not every few seconds.
        with contextlib.suppress(StoreError, OSError):
            work()

    def _count(self, task: Task) -> None:
        store = self._open(create=False)
        if store is None:
            send(self, "holdings", Holdings(self.folder, task.id, 0, 0, 0))
            return
        counts = store.counts(task.id)
        training = counts.edited + counts.accepted
        send(self, "holdings", Holdings(self.folder, task.id, training, counts.loops, counts.rejected))
