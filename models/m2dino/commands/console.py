"""What a long command shows: a line that renews itself on a terminal, and nothing in a pipe."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from m2dino.progress import OnProgress, ShouldStop


def terminal_progress(every_s: float = 0.2) -> OnProgress:
    """Return a progress callback that writes to stderr where that is a terminal."""
    shown = 0.0

    def show(done: int, total: int, text: str) -> None:
        nonlocal shown
        if not sys.stderr.isatty() or (time.monotonic() - shown < every_s and done < total):
            return
        shown = time.monotonic()
        share = f"{100 * done // total:3d} %  " if total else ""
        sys.stderr.write(f"\r\x1b[K{share}{text}" + ("\n" if total and done >= total else ""))
        sys.stderr.flush()

    return show


def log_progress(every_s: float) -> OnProgress:
    """Return a progress callback that prints a line to stderr every so often, for runs that are left alone."""
    shown = -every_s

    def show(done: int, total: int, text: str) -> None:
        nonlocal shown
        if time.monotonic() - shown >= every_s:
            shown = time.monotonic()
            print(f"{100 * done // max(total, 1):3d} %  {text}", file=sys.stderr, flush=True)

    return show


@contextmanager
def stop_on_interrupt(*, saves: bool = False) -> Iterator[ShouldStop]:
    """Turn the first Ctrl+C or SIGTERM into a request to stop in order; the second one interrupts at once.

    Parameters
    ----------
    saves : bool
        Whether what is stopped keeps its state, to go on or to be used: then the person is told so.
    """
    asked = False
    told = "stopping; the state is being saved" if saves else "stopping"

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        # Past Python's own buffer: a handler that interrupts a print in the middle may not print itself.
        with suppress(OSError):
            os.write(2, f"\nm2dino: {told} (once more to quit at once).\n".encode())

    before = {name: signal.signal(name, ask) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
