"""Decoding the next frames while the current one is looked at: one thread, alive only while frames come in order."""

from __future__ import annotations

import threading
from collections.abc import Callable

from m2dino.errors import M2DinoError

_IDLE_S = 0.1


class LookAhead:
    """Fetches the frames after those that are asked for one after another.

    The thread starts with the second of two neighbouring frames and ends a moment after the last, so that a loop that
    nobody plays costs nothing.

    Parameters
    ----------
    fetch : callable
        `fetch(index)` decodes a frame into the loop's cache. It asks `wants(index)` under the loop's lock first.
    """

    def __init__(self, fetch: Callable[[int], None]) -> None:
        self._fetch = fetch
        self._changed = threading.Condition()
        self._last = -2
        self._next = 0
        self._target = -1
        self._running = False

    def saw(self, index: int, depth: int, count: int) -> None:
        """Note that frame `index` of `count` was asked for; up to `depth` frames after it may be fetched."""
        with self._changed:
            in_order = index == self._last + 1
            self._last = index
            if not in_order or depth < 1 or index + 1 >= count:
                self._target = -1
                return
            if not index < self._next <= index + depth + 1:
                self._next = index + 1
            self._target = min(index + depth, count - 1)
            if self._running:
                self._changed.notify()
                return
            self._running = True
            # Not a daemon: it ends by itself at once, and never inside a codec while the interpreter shuts down.
            threading.Thread(target=self._run, name="look-ahead", daemon=False).start()

    def stop(self) -> None:
        """Fetch no more; a frame being decoded at this instant is finished."""
        with self._changed:
            self._last, self._target = -2, -1
            self._changed.notify()

    def wants(self, index: int) -> bool:
        """Whether frame `index` is still to be fetched."""
        with self._changed:
            return self._last < index <= self._target

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._next > self._target and not self._changed.wait_for(
                    lambda: self._next <= self._target, timeout=_IDLE_S
                ):
                    self._running = False
                    return
                index = self._next
                self._next += 1
            try:
                self._fetch(index)
            except M2DinoError:
                # The frame says so itself when it is asked for.
                continue
