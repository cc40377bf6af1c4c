"""Saving off the GUI thread: one writer thread owns the dataset folder; every decision and change is written at once.

A save that fails is told once, kept, and tried again: at the next save, on request, and every `RETRY_S` seconds. Until
it succeeds the frame counts as unsaved. Records are written in the order in which they were made.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.errors import StoreError, TaskConflictError
from m2dino.tasks import Task
from qtpy.QtCore import QObject, Signal

from napari_m2dino.background import BackgroundThread, send
from napari_m2dino.errors import explain
from napari_m2dino.postbox import DraftSave, Item, Key, PostBox, Save, Withdrawal
from napari_m2dino.rescue import BroughtBack, bring_back, rescue, rescue_folder
from napari_m2dino.writing import knows, write

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
    """The writer thread and its post boxes: one for each dataset folder that was in use, written to that folder only.

    What is answered of a folder is dropped where another one is in use by then.

    Signals
    -------
    saved : Record as the store returned it
    failed : sentence; what it concerns is kept and tried again
    recovered : the disk takes what is written again
    brought_back : (BroughtBack, sentence that says what went wrong with the rest), of work that was rescued at an end
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
    brought_back = Signal(object, str)
    refused = Signal(object, str)
    restored = Signal(str, str, object)
    drafts = Signal(str, str, object)
    news = Signal(str, str, object)
    holdings = Signal(object)
    tasks = Signal(object)
    _answered = Signal(object, str, object)

    def __init__(self, folder: Path, seat: str = "") -> None:
        super().__init__()
        self.folder = folder
        self.seat = seat
        self.author = ""
        self._thread = BackgroundThread("m2dino saving")
        self._store: tuple[Path, Store] | None = None
        self._boxes = {folder: PostBox(folder)}
        self._written: dict[Path, set[int]] = {}
        self._brought_back: set[Path] = set()
        self._known: dict[tuple[Path, str, str], int] = {}
        self._answered.connect(self._pass_on)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.alive

    @property
    def waiting(self) -> int:
        """How many decisions are not in the dataset folder yet."""
        return self._box.count(drafts=False)

    @property
    def under_way(self) -> bool:
        """Whether decisions will be in the dataset folder soon: those that only another folder takes will not."""
        return self.waiting > self._box.apart

    @property
    def unkept(self) -> int:
        """How many decisions and drafts are not on the disk yet, those for folders left included."""
        return sum(box.count(drafts=True) for box in list(self._boxes.values()))

    @property
    def _box(self) -> PostBox:
        return self._boxes[self.folder]

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
        box = self._box
        for item in items:
            box.put(item)
        self._thread.submit(lambda: self._flush(box))

    def retry(self) -> None:
        """Try again what failed."""
        if self.unkept:
            for box in self._boxes.values():
                self._thread.submit(partial(self._flush, box))

    def ask_for_news(self, loop_id: str, task: Task) -> None:
        """Ask whether another window or person has decided on frames of a loop; the answer, if any, is `news`."""
        folder = self.folder
        self._thread.submit(lambda: self._ask(folder, loop_id, task))

    def restore(self, loop_id: str, task: Task) -> None:
        """Ask for the saved records of a loop; the answer is `restored`."""
        folder = self.folder
        self._thread.submit(lambda: self._restore(folder, loop_id, task))

    def count(self, task: Task) -> None:
        """Ask for what the folder holds; the answer is `holdings`."""
        folder = self.folder
        self._thread.submit(lambda: self._guarded(lambda: self._count(folder, task), "counting the saved frames"))

    def after_all(self, then: Callable[[], None]) -> None:
        """Run `then` in the writer thread once everything queued before is done."""
        self._thread.submit(then)

    def move_to(self, folder: Path) -> set[Key]:
        """Use another dataset folder from now on, and return the keys of the decisions that come along.

        What waits still goes to the folder that it was made for. But where that one refuses it, or knows its task by
        another definition, another is chosen in order to have it saved: then the decisions that wait come along.
        """
        left = self._box
        self._boxes.setdefault(folder, PostBox(folder))
        self.folder = folder
        along = left.take_decisions() if left is not self._box else []
        for save in along:
            self._box.put(save)
        self.retry()
        return {save.key for save in along}

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Write what waits, end the thread, and return whether it ended in time: as long as it gets on, it has time.

        What a folder still does not take is kept for the next start, see `rescue`.
        """
        if self._thread.alive:
            self._thread.submit(self._close)
        waiting = self.unkept
        while not (ended := self._thread.stop(timeout_s, finish=True)) and self.unkept < waiting:
            waiting = self.unkept
        for box in self._boxes.values():
            kept, lost = rescue(box, self.seat, self.author)
            if kept:
                print(f"m2dino: {kept} changes could not be saved in {box.folder} yet; they are kept.", file=sys.stderr)
            if lost:
                print(f"m2dino: {lost} changes could not be saved in {box.folder}: they are lost.", file=sys.stderr)
        return ended

    # -- in the thread -----------------------------------------------------------------------------------------------
    def _open(self, folder: Path, create: bool = True) -> Store | None:
        if self._store is None or self._store[0] != folder:
            if not create and not folder.exists() and not rescue_folder(folder).is_dir():
                return None  # looking must not leave an empty folder behind
            from m2dino.data.store import Store

            self._close()
            self._store = (folder, Store.open(folder, create=True))
            # Every folder numbers its records by itself: number 3 of another one may be a colleague's.
            self._store[1].written = self._written.setdefault(folder, set())
            self._bring_back(self._store[1])
        return self._store[1]

    def _bring_back(self, store: Store) -> None:
        """Save what was rescued for this folder, once: where that fails, the next start tries again."""
        if store.folder in self._brought_back:
            return
        self._brought_back.add(store.folder)
        try:
            back, trouble = bring_back(store, self.seat), ""
        except Exception as error:  # noqa: BLE001 - it stays where it is, and what is saved now must not suffer
            back, trouble = BroughtBack(), explain(error, "bringing back what was not saved")
        if back != BroughtBack() or trouble:
            send(self, "brought_back", back, trouble)

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

    def _flush(self, box: PostBox) -> None:
        while items := box.first():
            try:
                store = self._open(box.folder)
                assert store is not None
                said = write(store, items, self.seat, self.author)
            except TaskConflictError as error:
                # Told once: what is accepted after it waits beside it. What is of other tasks goes on.
                first_time = not box.apart
                for item in items:
                    if isinstance(item, Save):
                        box.set_apart(item)
                if first_time:
                    send(self, "failed", f"Not saved yet: {explain(error, 'saving')}")
                continue
            except (StoreError, OSError) as error:
                self._store = None
                if not box.refused:
                    box.refused = True
                    send(self, "failed", f"Not saved yet: {explain(error, 'saving')}")
                return
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: trying again would change nothing
                box.done(items)
                sentence = f"Not saved: {explain(error, 'saving')}"
                if isinstance(items[0], Save):
                    self._answer(box.folder, "refused", items[0].record, sentence)
                else:
                    send(self, "failed", sentence)
                continue
            box.done(items)
            if box.refused:
                box.refused = False
                if not any((one.refused and one.count(drafts=True)) or one.apart for one in self._boxes.values()):
                    send(self, "recovered")
            if said is not None:
                send(self, "saved", said)
            if not isinstance(items[0], DraftSave):
                count = partial(self._count, box.folder, items[0].task)
                self._guarded(count, "counting the saved frames")

    def _restore(self, folder: Path, loop_id: str, task: Task) -> None:
        def work() -> None:
            store = self._open(folder, create=False)
            self._answer(folder, "tasks", [] if store is None else list(store.tasks().values()))
            if store is not None and not knows(store, task):
                # Labels by another definition would not fit the layer.
                store = None
                self._known.pop((folder, loop_id, task.id), None)
                self._answer(folder, "failed", _other_task(folder, task))
            else:
                self._known[folder, loop_id, task.id] = 0 if store is None else store.last_number()
            records = [] if store is None else store.records(loop_id=loop_id, task_id=task.id)
            self._answer(folder, "restored", loop_id, task.id, records)
            drafts = [] if store is None else store.drafts(loop_id, task.id)
            self._answer(folder, "drafts", loop_id, task.id, drafts)
            self._count(folder, task)

        self._guarded(work, "reading the saved frames")

    def _ask(self, folder: Path, loop_id: str, task: Task) -> None:
        def work() -> None:
            store = self._open(folder, create=False)
            known = self._known.get((folder, loop_id, task.id))
            if store is None or known is None:
                return
            if news := store.news(loop_id, task.id, known):
                self._known[folder, loop_id, task.id] = max(one.number for one in news)
                self._answer(folder, "news", loop_id, task.id, news)
                self._count(folder, task)

        # Whether the folder can be reached is said where something is to be saved, not every few seconds.
        with contextlib.suppress(StoreError, OSError):
            work()

    def _count(self, folder: Path, task: Task) -> None:
        store = self._open(folder, create=False)
        if store is None:
            self._answer(folder, "holdings", Holdings(folder, task.id, 0, 0, 0))
            return
        counts = store.counts(task.id)
        training = counts.edited + counts.accepted
        self._answer(folder, "holdings", Holdings(folder, task.id, training, counts.loops, counts.rejected))

    def _answer(self, folder: Path, signal: str, *values: object) -> None:
        """Have a signal emitted in the GUI thread, if this folder is still the one in use there."""
        send(self, "_answered", folder, signal, values)

    # -- in the GUI thread -------------------------------------------------------------------------------------------
    def _pass_on(self, folder: Path, signal: str, values: tuple[object, ...]) -> None:
        if folder == self.folder:
            getattr(self, signal).emit(*values)
        elif signal == "refused":
            self.failed.emit(values[-1])


def _other_task(folder: Path, task: Task) -> str:
    return (
        f"The dataset folder {folder} knows the task {task.id} by another definition, with another type or number of "
        "labels: what is there is not shown, and what you accept is not saved. Choose another dataset folder."
    )
