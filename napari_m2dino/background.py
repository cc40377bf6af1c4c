"""One thread that does jobs in turn, off the GUI thread, and ends when told to. No Qt."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import queue
import threading
import time
import weakref
from collections.abc import Callable

LAST_WAIT_S = 3.0
"""How long the end of the program waits for threads that are still at work, seconds."""


class BackgroundThread:
    """A thread that lives as long as its owner, started by its first job.

    Jobs must not raise: they report their own errors. The thread is a daemon, so that a job that hangs in a codec or a
    driver cannot keep the program from ending; see `end_all` for the others.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._finishing = False

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called; long jobs ask often."""
        return self._stopping.is_set()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def submit(self, job: Callable[[], None]) -> None:
        """Queue a job; after `stop` it is dropped."""
        if self.stopping:
            return
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            _started[self._thread] = self
            self._thread.start()

    def stop(self, timeout_s: float, finish: bool = False) -> bool:
        """End the thread and wait for it, at most `timeout_s`; return whether it has ended.

        Parameters
        ----------
        timeout_s : float
        finish : bool
            Do the queued jobs first; otherwise they are dropped and a running job is asked to end (`stopping`).
        """
        self._finishing = finish
        if not finish:
            self._stopping.set()
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._stopping.set()
        return not self.alive

    def give_up(self, _gone: object = None) -> None:
        """Do no more, and wait for nothing: for Qt's signal that an owner is gone."""
        self.stop(0)

    def interrupt(self) -> None:
        """Raise `SystemExit` in the thread, at its next step of Python code; `threading` lets it end in silence."""
        if self._thread is not None and self._thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident), ctypes.py_object(SystemExit))

    @property
    def finishing(self) -> bool:
        """Whether it was asked to do what is queued before it ends."""
        return self._finishing and self.alive

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self.stopping:
                break
            job()
            # While it waits for the next, the thread keeps nothing alive that the last one knew.
            del job


def guarded(job: Callable[[], None], trouble: Callable[[Exception], None]) -> Callable[[], None]:
    """Return a job for the thread that does not raise: what goes wrong is handed to `trouble`, in the thread."""

    def run() -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: whatever it is, a person is told
            trouble(error)

    return run


def send(owner: object, signal: str, *values: object) -> None:
    """Emit the signal of this name from a thread, unless its owner went with its window meanwhile."""
    with contextlib.suppress(RuntimeError):
        getattr(owner, signal).emit(*values)


_started: weakref.WeakKeyDictionary[threading.Thread, BackgroundThread] = weakref.WeakKeyDictionary()


@atexit.register
def end_all(patience_s: float = LAST_WAIT_S) -> None:
    """End every thread before the interpreter does, and wait for them, at most `patience_s`.

    A thread in the midst of C++ code when the interpreter ends (loading PyTorch takes seconds) makes it end with
    "terminate called without an active exception". A job cannot be asked to end everywhere, so it is interrupted;
    writing that was to be finished is, as long as there is time.
    """
    end = time.monotonic() + patience_s
    while (threads := [one for one in list(_started.values()) if one.alive]) and time.monotonic() < end:
        for one in threads:
            # Again and again, for a library may catch it.
            if not one.finishing or time.monotonic() > end - patience_s / 4:
                one.stop(0)
                one.interrupt()
        time.sleep(0.02)
