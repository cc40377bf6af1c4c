"""One thread that does jobs in turn, off the GUI thread, and ends when told to. No Qt."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class BackgroundThread:
    """A thread that lives as long as its owner, started by its first job.

    Jobs must not raise: they report their own errors. The thread is a daemon, so that a job that hangs in a codec or a
    driver cannot keep the program from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

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
            self._thread.start()

    def stop(self, timeout_s: float, finish: bool = False) -> bool:
        """End the thread and wait for it, at most `timeout_s`; return whether it has ended.

        Parameters
        ----------
        timeout_s : float
        finish : bool
            Do the queued jobs first; otherwise they are dropped and a running job is asked to end (`stopping`).
        """
        if not finish:
            self._stopping.set()
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._stopping.set()
        return not self.alive

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self.stopping:
                break
            job()
            # While it waits for the next, the thread keeps nothing alive that the last one knew.
            del job
