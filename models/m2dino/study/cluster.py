"""Carrying out runs by several processes, or several computers, with dask.distributed.

Every worker must see the data and the study's folder under the same paths. A worker makes one run at a time, whatever
its number of threads: they compute, and the draws of a run are global to a process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2dino.errors import StudyError
from m2dino.extras import require
from m2dino.progress import OnProgress, ShouldStop
from m2dino.study.data import StudyData
from m2dino.study.execute import How, execute
from m2dino.study.plan import Run
from m2dino.study.results import Result
from m2dino.study.work import Todo, scratch_folder

if TYPE_CHECKING:
    from distributed import Client

ANSWER_S = 10
WAIT_S = 0.5
LOOK_S = 1.0
_one_at_a_time = threading.Lock()


class Workers:
    """Carries out runs by the workers of a dask scheduler.

    Parameters
    ----------
    address : str
        Of a running scheduler, such as tcp://host:8786; empty for processes of our own on this computer.
    count : int
        How many of those.

    Raises
    ------
    MissingExtraError
    """

    def __init__(self, address: str = "", count: int = 1) -> None:
        require("distributed", "distributed", "Several workers need")
        self.address, self.count = address, count

    def __call__(self, todo: Todo, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        """Carry out runs; see `work.Labour`.

        Raises
        ------
        StudyError
            The scheduler cannot be reached, or it has no worker.
        """
        with self._client() as client:
            _share_out(client, todo, on_progress, should_stop)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        from distributed import Client, LocalCluster

        if not self.address:
            threads = max(1, (os.cpu_count() or 1) // self.count)
            options: dict[str, Any] = {"n_workers": self.count, "threads_per_worker": threads, "memory_limit": 0}
            with _deaf_children():
                cluster = LocalCluster(dashboard_address=None, **options)
            with cluster, Client(cluster) as client:
                yield client
            return
        try:
            client = Client(self.address, timeout=ANSWER_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise StudyError(
                f"The scheduler {self.address!r} does not answer; start it with `dask scheduler`, and workers with "
                "`dask worker ADDRESS`."
            ) from error
        with client:
            if not client.nthreads():
                raise StudyError(f"The scheduler {self.address} has no workers; start some: `dask worker ADDRESS`.")
            yield client


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that leave Ctrl+C, which a terminal sends to all of them, to us."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread may say how signals are handled
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _share_out(client: Client, todo: Todo, on_progress: OnProgress, should_stop: ShouldStop) -> None:
    """Give every worker one run at a time, so that a stop leaves nothing queued."""
    from distributed import wait

    waiting, running = list(todo.runs), dict[Any, tuple[Run, str]]()
    stop = scratch_folder(todo.results.folder.parent) / "stop"
    stop.unlink(missing_ok=True)
    data = client.scatter(todo.data, broadcast=True)
    count = len(todo.runs)
    while (waiting and not should_stop()) or running:
        if should_stop() and not stop.exists():
            stop.parent.mkdir(parents=True, exist_ok=True)
            stop.touch()
        busy = {worker for _, worker in running.values()}
        for worker in sorted(client.nthreads()):
            if waiting and worker not in busy and not should_stop():
                run = waiting.pop(0)
                scratch = todo.results.scratch(run)
                future = client.submit(
                    remote, run, data, todo.how, scratch, stop, workers=[worker], allow_other_workers=True, pure=False
                )
                running[future] = (run, worker)
        with contextlib.suppress(TimeoutError):
            wait(list(running), timeout=WAIT_S, return_when="FIRST_COMPLETED")
        for future in [future for future in running if future.done()]:
            run, _ = running.pop(future)
            try:
                result = future.result()
            except Exception as error:  # noqa: BLE001 - whatever befell a worker, the other runs go on
                if should_stop():
                    continue  # it may have been ended together with us
                why = f"Its worker failed ({type(error).__name__})."
                result = Result(run.id, failed=why, error=f"{why} {error}")
            if result is not None:
                todo.keep(run, result)
        done = count - len(waiting) - len(running)
        on_progress(done, count, f"{done} of {count} networks done, {len(running)} under way")
    stop.unlink(missing_ok=True)


def remote(run: Run, data: StudyData, how: How, scratch: Path, stop: Path) -> Result | None:
    """Carry out a run in a worker, until the file `stop` appears."""
    import torch
    from distributed import get_worker

    with _one_at_a_time:
        torch.set_num_threads(max(1, get_worker().state.nthreads))
        return execute(run, data, how, scratch, should_stop=_Look(stop))


class _Look:
    """Whether a file is there, looked up once a second at most."""

    def __init__(self, path: Path) -> None:
        self.path, self.next, self.seen = path, 0.0, False

    def __call__(self) -> bool:
        if not self.seen and time.monotonic() >= self.next:
            self.seen, self.next = self.path.exists(), time.monotonic() + LOOK_S
        return self.seen
