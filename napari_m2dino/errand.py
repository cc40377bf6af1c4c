"""One piece of work at a time off the GUI thread, with progress, cancel and an end that is told.

What arrives of an errand that was cancelled, or begun anew, is dropped: only the newest is heard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from m2dino.progress import OnProgress, ShouldStop
from qtpy.QtCore import QObject, Signal

from napari_m2dino.background import BackgroundThread
from napari_m2dino.errors import explain

Work = Callable[[OnProgress, ShouldStop, Callable[[Any], None]], Any]
"""What is done in the thread: it touches no layer and no widget, and gives plain data to its third argument."""


@dataclass(frozen=True)
class Ending:
    """How an errand ended: what the work returned, or a sentence on why it failed."""

    result: Any = None
    trouble: str = ""
    cancelled: bool = False


class Errand(QObject):
    """A thread for work that a person waits for.

    Signals
    -------
    changed : it has begun, got on or ended
    handed : what the work hands over, while it runs
    ended : Ending
    """

    changed = Signal()
    handed = Signal(object)
    ended = Signal(object)
    _post = Signal(int, str, object)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.running = False
        self.done, self.total = 0, 0
        self._thread = BackgroundThread(name)
        self._cancelled = threading.Event()
        self._generation = 0
        self._post.connect(self._receive)

    def start(self, work: Work, doing: str) -> None:
        """Begin some work, cancelling what was under way; `doing` is for the sentence on a failure."""
        self.cancel()
        self._generation += 1
        self._cancelled = threading.Event()
        self.running, self.done, self.total = True, 0, 0
        generation, cancelled = self._generation, self._cancelled
        self._thread.submit(lambda: self._run(work, doing, generation, cancelled))
        self.changed.emit()

    def cancel(self) -> None:
        """Ask the work to end; what it has handed over stays."""
        self._cancelled.set()

    @property
    def asked_to_end(self) -> bool:
        """Whether `cancel` was called since the work began, be it that the work was done by then."""
        return self._cancelled.is_set()

    def close(self, timeout_s: float = 1.0, finish: bool = False) -> None:
        """End the thread; with `finish`, let the work come to its end first. Safe to call twice."""
        if not finish:
            self.cancel()
        self._generation += 1
        self._thread.stop(timeout_s, finish=finish)

    def _receive(self, generation: int, kind: str, content: Any) -> None:
        if generation != self._generation:
            return
        if kind == "progress":
            self.done, self.total = content
            self.changed.emit()
        elif kind == "handed":
            self.handed.emit(content)
        else:
            self.running = False
            self.ended.emit(content)
            self.changed.emit()

    # -- in the thread -----------------------------------------------------------------------------------------------
    def _run(self, work: Work, doing: str, generation: int, cancelled: threading.Event) -> None:
        def send(kind: str, content: object) -> None:
            try:
                self._post.emit(generation, kind, content)
            except RuntimeError:
                # The window went while we worked: nobody is left to tell.
                cancelled.set()

        def should_stop() -> bool:
            return cancelled.is_set() or self._thread.stopping

        try:
            result = work(
                lambda done, total, _text: send("progress", (done, total)),
                should_stop,
                lambda content: send("handed", content),
            )
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: whatever it is, a person is told
            send("ended", Ending(trouble=explain(error, doing)))
        else:
            send("ended", Ending(result, cancelled=should_stop()))
