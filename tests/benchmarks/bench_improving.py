"""How long the window stands still while a fine-tune starts, runs, ends, is promoted, rolled back and cancelled.

`python tests/benchmarks/bench_improving.py [--where]`, on a screen, real or virtual, with the bundled checkpoint and a
real DICOM cine. Of every turn of the event loop its wall time; that without the time in which the thread could have run
and other work held the processor (Linux tells); and the processor's time of the thread itself. What lies between the
last two is waiting for Python's lock, a disk or the screen. `--where` samples what the thread did in its longest turns;
the sampling itself costs some of the time.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["M2DINO_DATASET"] = str(Path(tempfile.mkdtemp()) / "dataset")

from napari import Viewer
from pydicom.examples import get_path
from qtpy.QtWidgets import QApplication

from napari_m2dino.widgets.dock import M2DinoDock

FRAMES = (0, 4, 8, 12, 16, 20, 24, 28)
LONG_S = 0.05
"""Turns from here on are told apart by what was done in them."""
SCHEDULE = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")


def waited() -> float:
    """Return for how long this thread could have run and others held the processor, in seconds; 0 where none tells."""
    return int(SCHEDULE.read_text().split()[1]) / 1e9 if SCHEDULE.is_file() else 0.0


class Watch:
    """Turns the event loop and keeps what its turns took, part by part."""

    def __init__(self, where: bool) -> None:
        self.where = where
        self.turns: list[tuple[float, float, float]] = []
        self._main = threading.main_thread().ident or 0
        self._began = 0.0
        self._samples: list[tuple[str, ...]] = []
        self._collected = 0.0
        gc.callbacks.append(self._collecting)
        if where:
            threading.Thread(target=self._sample, daemon=True).start()

    def until(self, done: Callable[[], bool], limit_s: float = 300.0) -> None:
        """Turn the event loop until something is so."""
        end = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < end, "it took too long"
            self._samples = []
            self._began = began = time.perf_counter()
            cpu, late, collected = time.thread_time(), waited(), self._collected
            QApplication.processEvents()
            took, spent = time.perf_counter() - began, time.thread_time() - cpu
            self._began, late = 0.0, waited() - late
            self.turns.append((took, took - late, spent))
            if took > LONG_S and self.where:
                self._tell(took, took - late, spent, self._collected - collected)
            time.sleep(0.001)

    def spin(self, seconds: float) -> None:
        """Turn the event loop for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def part(self, name: str) -> None:
        """Print the longest turns since the last part."""
        columns = [sorted(one, reverse=True) for one in zip(*self.turns, strict=True)]
        told = (", ".join(f"{1000 * one:.0f}" for one in times[:3]) for times in columns)
        print("{:9} wall {} · without waiting for a processor {} · the thread's own {}".format(name, *told))
        sys.stdout.flush()
        self.turns = []

    def _collecting(self, phase: str, _info: object) -> None:
        if threading.get_ident() == self._main:
            self._collected += time.perf_counter() * (1 if phase == "stop" else -1)

    def _sample(self) -> None:
        while True:
            time.sleep(0.004)
            if self._began and (frame := sys._current_frames().get(self._main)) is not None:
                stack = []
                while frame is not None:
                    code = frame.f_code
                    stack.append(f"{Path(code.co_filename).name}:{code.co_name}:{frame.f_lineno}")
                    frame = frame.f_back
                self._samples.append(tuple(reversed(stack)))

    def _tell(self, *times: float) -> None:
        print("  {:.0f} ms, undisturbed {:.0f}, own {:.0f}, garbage {:.0f}".format(*(1000 * one for one in times)))
        seen = Counter(" > ".join((*stack[4:7], "...", *stack[-5:])) for stack in self._samples)
        for stack, times in seen.most_common(6):
            print(f"    {times} x {stack}")


def main(where: bool) -> None:
    """Walk through a fine-tune and print."""
    viewer = Viewer(show=True)
    dock = M2DinoDock(viewer)
    viewer.window.add_dock_widget(dock, name="M2DINO")
    watch, workshop = Watch(where), dock.workshop
    desk, improving, promoting = workshop.desk, workshop.improving, workshop.promoting
    watch.until(lambda: bool(workshop.predicting.device))
    workshop.open_loop(Path(str(get_path("ybr_color"))))
    watch.until(lambda: desk.loop is not None)
    desk.choose_task(desk.tasks["fetal_heart"])
    dock.review.new_label.click()
    for frame in FRAMES:
        desk.go_to(frame)
        desk.result.layer.brush_size = 60
        desk.result.layer.paint((frame, 120, 160), 1)
        watch.spin(0.2)
        workshop.reviewing.accept()
    watch.until(lambda: dock.improve.train.isEnabled())
    watch.until(lambda: improving.plan != "")
    print("longest turns of the event loop, ms")
    watch.spin(2)
    watch.part("before")
    dock.improve.train.click()
    watch.until(lambda: improving.process.pid > 0)
    watch.until(lambda: bool(improving.run.plan))
    watch.part("start")
    watch.until(lambda: not improving.running)
    watch.part("run")
    watch.until(lambda: improving.run.report is not None and dock.improve.outcome.promote.isEnabled())
    watch.spin(1)
    watch.part("outcome")
    new, old = improving.run.checkpoint, desk.checkpoint.path
    dock.improve.outcome.promote.click()
    watch.until(lambda: desk.checkpoint.path == new)
    watch.until(lambda: bool(workshop.predicting.device) and not workshop.predicting.running)
    watch.spin(1)
    watch.part("promote")
    dock.improve.back.click()
    watch.until(lambda: desk.checkpoint.path == old)
    watch.until(lambda: bool(workshop.predicting.device))
    watch.spin(1)
    watch.part("roll back")
    watch.until(lambda: promoting.line.in_use is not None)
    dock.improve.train.click()
    watch.until(lambda: improving.run is not None and bool(improving.run.losses))
    watch.turns = []
    began = time.monotonic()
    dock.improve.cancel.click()
    watch.until(lambda: not improving.running)
    took = time.monotonic() - began
    watch.spin(1)
    watch.part("cancel")
    print(f"cancelled within {took:.2f} s")
    sys.stdout.flush()
    os._exit(0)  # the end of a window is not what is measured


if __name__ == "__main__":
    main("--where" in sys.argv)
