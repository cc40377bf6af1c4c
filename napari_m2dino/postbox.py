"""What waits to be written to the dataset folder, in order. No Qt; shared by the GUI thread and the writer thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m2dino.cine.loop import CineLoop
from m2dino.data.drafts import Content, Draft
from m2dino.data.records import Record
from m2dino.tasks import Task

from napari_m2dino.packed import PackedPrediction

Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Save:
    """One record to write, with what the dataset needs beside it."""

    record: Record
    loop: CineLoop
    task: Task

    @property
    def key(self) -> Key:
        return ("record", self.record.loop_id, self.record.task_id, self.record.frame)


@dataclass(frozen=True)
class Withdrawal:
    """The record of a frame to take out of the dataset; its history stays."""

    loop_id: str
    task: Task
    frame: int

    @property
    def key(self) -> Key:
        return ("record", self.loop_id, self.task.id, self.frame)


@dataclass(frozen=True)
class DraftSave:
    """Undecided work on a frame, to be kept until it is decided on; packed until the thread has time for it."""

    loop_id: str
    task_id: str
    frame: int
    content: Content | None
    proposal: PackedPrediction | None

    @property
    def key(self) -> Key:
        return ("draft", self.loop_id, self.task_id, self.frame)

    def whole(self, seat: str, author: str) -> Draft:
        """Return it as the store keeps it."""
        proposal = self.proposal.whole() if self.proposal else None
        return Draft(self.loop_id, self.frame, self.task_id, self.content, proposal, seat, author)


Item = Save | Withdrawal | DraftSave


class PostBox:
    """Items for one dataset folder, in the order in which they are to be written.

    A later one on the same frame replaces the earlier.

    Attributes
    ----------
    folder : Path
    refused : bool
        Whether the folder would not take what was to be written to it last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused = False
        self._lock = threading.Lock()
        self._items: OrderedDict[Key, Item] = OrderedDict()
        self._apart: OrderedDict[Key, Save] = OrderedDict()

    @property
    def apart(self) -> int:
        """How many decisions lie apart, and hold up nothing else: the folder knows their task by another definition."""
        return len(self._apart)

    def put(self, item: Item) -> None:
        """Put an item in. A decision makes a draft of the same frame that still waits needless."""
        with self._lock:
            self._items.pop(item.key, None)
            self._apart.pop(item.key, None)
            if isinstance(item, Save):
                self._items.pop(("draft", *item.key[1:]), None)
            self._items[item.key] = item

    def first(self) -> Sequence[Item]:
        """Return the item to write first, together with those that can be written in one go with it."""
        with self._lock:
            together: list[Item] = []
            for item in self._items.values():
                if together and not (isinstance(item, DraftSave) and isinstance(together[0], DraftSave)):
                    break
                together.append(item)
            return together

    def done(self, items: Sequence[Item]) -> None:
        """Take items out, unless newer ones of the same frames have taken their places."""
        with self._lock:
            for item in items:
                if self._items.get(item.key) is item:
                    del self._items[item.key]

    def set_apart(self, item: Save) -> None:
        """Lay a decision apart, unless a newer one of the same frame has taken its place."""
        with self._lock:
            if self._items.get(item.key) is item:
                del self._items[item.key]
                self._apart[item.key] = item

    def take_decisions(self) -> list[Save]:
        """Take the decisions out that this folder does not take, to be written elsewhere.

        What is to be withdrawn stays, for that is of this folder's own, and so do the drafts.
        """
        with self._lock:
            taken = list(self._apart.values())
            self._apart.clear()
            if self.refused:
                taken += [item for item in self._items.values() if isinstance(item, Save)]
                for item in taken:
                    self._items.pop(item.key, None)
            return taken

    def everything(self) -> list[Item]:
        """Return all that waits, in order; what lies apart first."""
        with self._lock:
            return [*self._apart.values(), *self._items.values()]

    def count(self, drafts: bool) -> int:
        """Return how many decisions wait, and with `drafts` also how much undecided work."""
        with self._lock:
            waiting = sum(drafts or not isinstance(item, DraftSave) for item in self._items.values())
            return waiting + len(self._apart)
