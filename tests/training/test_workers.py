"""A reading process that is lost: its loss is told once, wherever PyTorch notices it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Client
from pathlib import Path
from types import FrameType

import pytest
import torch
from m2dino.errors import TrainingError
from m2dino.training.workers import leave_signals_to_the_parent, reading, told_if_lost
from torch.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="no such signal on this system")


def deaf(number: int, frame: FrameType | None) -> None:
    """Hear nothing yet."""


def read_until_the_worker_is_lost(nowhere: Path) -> None:
    """Lose a worker as a machine under load does: its connection breaks, and only then does the system tell."""
    before = set(multiprocessing.active_children())
    loader = DataLoader(TensorDataset(torch.arange(8)), num_workers=1)
    with reading(loader) as batches:
        next(batches)
        (worker,) = set(multiprocessing.active_children()) - before
        assert worker.pid is not None
        worker.kill()
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        with Client(str(nowhere)):
            pytest.fail("nobody listens there")


def test_a_loss_that_was_told_is_not_told_again_at_what_runs_next(tmp_path: Path) -> None:
    next(iter(DataLoader(TensorDataset(torch.arange(8)), num_workers=1)))  # so that PyTorch's handler is in its place
    before = set(multiprocessing.active_children())
    theirs = signal.signal(signal.SIGCHLD, deaf)
    # The error is kept, as a window keeps what it tells.
    with pytest.raises(TrainingError, match=r"ended from outside.*--workers 0") as _caught, told_if_lost():
        read_until_the_worker_is_lost(tmp_path / "nowhere")
    signal.signal(signal.SIGCHLD, theirs)
    signal.raise_signal(signal.SIGCHLD)  # as by any process that ends
    assert set(multiprocessing.active_children()) <= before


def test_the_workers_end_with_the_reading_though_something_holds_on_to_it() -> None:
    """Garbage collection would close the queue first that tells them to end."""
    before = set(multiprocessing.active_children())
    loader = DataLoader(
        TensorDataset(torch.arange(8)), num_workers=1, worker_init_fn=leave_signals_to_the_parent, prefetch_factor=2
    )
    kept = []
    with reading(loader) as batches:
        kept.append(batches)
        next(batches)
        began = time.monotonic()
    assert time.monotonic() - began < 4, "PyTorch waits 5 s for a worker that it cannot tell"
    assert set(multiprocessing.active_children()) <= before
