"""The processes that decode and augment: what they do at a signal, and what their errors and their loss mean."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

from torch.utils.data import DataLoader

from m2dino.errors import M2DinoError, TrainingError

GRACE_S = 60
"""How long a worker goes on after it was told to end: a step, and the saving of the state, must fit in."""


def leave_signals_to_the_parent(worker: int) -> None:
    """Let the first process end this one, so that a signal to the whole group stops a run and does not break it.

    PyTorch makes the death of a worker an error wherever the first process is then, which is mostly within a step.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        # Not for ever: a worker that the first process cannot reach must end as well.
        signal.signal(signal.SIGTERM, lambda number, frame: _end_later())


def _end_later() -> None:
    signal.alarm(GRACE_S)


def own_words(error: M2DinoError) -> str:
    """Return what an error says, without the traceback that one from a worker brings along."""
    kind = type(error)
    return str(error).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].strip()


def _is_loss(error: Exception) -> bool:
    """Whether an error says that a worker has gone: PyTorch's own words, or a connection to it that broke."""
    if isinstance(error, RuntimeError):
        return "DataLoader worker" in str(error)
    modules = (str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__))
    return any(name.startswith("multiprocessing.") for name in modules)


@contextmanager
def reading(loader: DataLoader[Any]) -> Iterator[Iterator[Any]]:
    """Iterate over a loader, whose workers end with the block, however that ends.

    Left to garbage collection, as PyTorch leaves it, the queue that tells them to end may go before they are told. The
    program then waits for them at its end, and for `GRACE_S`. And until then PyTorch counts on them, and tells their
    loss again at whatever runs next.
    """
    batches = iter(loader)
    try:
        yield batches
    finally:
        # PyTorch has no public call for it. Without workers there is nothing to end.
        close: Callable[[], None] | None = getattr(batches, "_shutdown_workers", None)
        if close is not None:
            close()


@contextmanager
def told_if_lost() -> Iterator[None]:
    """Turn the loss of a worker, which PyTorch tells wherever the first process is then, into a sentence.

    Raises
    ------
    TrainingError
        A worker was killed, or could not pass on what it read.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        if not _is_loss(error):
            raise
        raise TrainingError(
            "A process that reads the images was ended from outside, most likely because memory was full (in a "
            "container: its shared memory, --shm-size). Repeat the command to go on from what is saved; --workers 0 "
            "reads without such a process."
        ) from error
