"""Turns of the event loop, each with the time on the wall, the GUI thread's own time, and what it was doing.

A turn's wall time is what a person feels: it holds the waits for the processor and for Python's lock too. Its own time
is the processor's time of the GUI thread alone: what the program asks of that thread whatever else the machine does.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

import numpy as np
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QMainWindow

IDLE_S = 0.002
LATE_S = 0.03
"""From here on into a turn it is looked at what it does."""


class WaitedTooLongError(Exception):
    """Something did not come; the message says what."""


@dataclass
class Turns:
    """The turns of one phase.

    Attributes
    ----------
    wall, own, drawing, others, garbage : list of float
        Seconds of each turn: on the wall; of the GUI thread; of these, in drawing the window, most of which a graphics
        card would do; of the program's other threads; in Python's collection of garbage.
    imported : list of str
        Modules that were first imported in this phase.
    doing : list of (float, Counter)
        Own seconds of each turn longer than `LATE_S`, and what it was seen doing, one count every few milliseconds.
    """

    wall: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    drawing: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    imported: list[str] = field(default_factory=list)
    garbage: list[float] = field(default_factory=list)
    doing: list[tuple[float, Counter[str]]] = field(default_factory=list)

    def row(self) -> str:
        """Return the figures as cells of a table, milliseconds."""
        wall, own, drawing = (1e3 * np.array(each) for each in (self.wall, self.own, self.drawing))
        cells = [str(len(wall))]
        for each in (wall, own, own - drawing):
            cells += [f"{np.percentile(each, 99):.0f}", f"{each.max():.0f}", str(int((each > 100).sum()))]
        at = int(wall.argmax())
        cells += [f"{1e3 * self.own[at]:.0f} + {1e3 * self.others[at]:.0f}", f"{1e3 * max(self.garbage):.0f}"]
        return " | ".join(cells)


HEAD = (
    "| phase | turns | wall, 99 % | longest | over 100 | own, 99 % | longest | over 100 | own but for drawing, 99 % "
    "| longest | over 100 | of the longest on the wall: own + other threads | garbage, longest |\n" + "|---" * 13 + "|"
)


class Watch:
    """Turns the event loop one round at a time and keeps account."""

    def __init__(self, look_closely: bool = False) -> None:
        self.phases: dict[str, Turns] = {}
        self._turns = Turns()
        self._garbage, self._garbage_began = 0.0, 0.0
        self._seen: Counter[str] = Counter()
        self._drawing = 0.0
        self._modules = set(sys.modules)
        gc.callbacks.append(self._collecting)
        self._began: float | None = None
        if look_closely:
            threading.Thread(target=self._look, args=(threading.get_ident(),), daemon=True).start()

    def begin(self, phase: str) -> None:
        """Count the turns from now on for a phase."""
        self._turns.imported += sorted(set(sys.modules) - self._modules)
        self._modules = set(sys.modules)
        self._turns = self.phases.setdefault(phase, Turns())

    def follow_drawing(self, window: QMainWindow) -> None:
        """Count apart what Qt and napari take to draw a window, its canvas included."""
        handle = window.event

        def timed(event: QEvent) -> bool:
            if event.type() != QEvent.Type.UpdateRequest:
                return bool(handle(event))
            began = time.thread_time()
            try:
                return bool(handle(event))
            finally:
                self._drawing += time.thread_time() - began

        window.event = timed

    def turn(self) -> None:
        """Turn the event loop once."""
        self._garbage, self._drawing, self._seen = 0.0, 0.0, Counter()
        wall, own, process = time.perf_counter(), time.thread_time(), time.process_time()
        self._began = wall
        QApplication.processEvents()
        self._began = None
        self._turns.own.append(time.thread_time() - own)
        self._turns.wall.append(time.perf_counter() - wall)
        self._turns.others.append(time.process_time() - process - self._turns.own[-1])
        self._turns.drawing.append(self._drawing)
        self._turns.garbage.append(self._garbage)
        if self._seen:
            self._turns.doing.append((self._turns.own[-1] - self._drawing, self._seen))
        time.sleep(IDLE_S)

    def wait(self, until: Callable[[], bool], what: str, limit_s: float = 180.0) -> None:
        """Turn until something is so."""
        end = time.perf_counter() + limit_s
        while not until():
            if time.perf_counter() > end:
                raise WaitedTooLongError(what)
            self.turn()

    def pause(self, seconds: float) -> None:
        """Turn for a while."""
        end = time.perf_counter() + seconds
        self.wait(lambda: time.perf_counter() >= end, "a pause", seconds + 60)

    def _collecting(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._garbage_began = time.perf_counter()
        else:
            self._garbage += time.perf_counter() - self._garbage_began

    def _look(self, main: int) -> None:
        while True:
            time.sleep(0.003)
            began = self._began
            if began is not None and time.perf_counter() - began > LATE_S:
                self._seen[_where(sys._current_frames()[main])] += 1


def _where(frame: FrameType | None) -> str:
    """Return the innermost step, and the chain of our own that led to it."""
    assert frame is not None
    parts: list[str] = []
    here = f"{frame.f_code.co_filename.rsplit('/', 2)[-1]}:{frame.f_code.co_name}"
    while frame is not None:
        name = frame.f_code.co_filename
        if "m2dino" in name:
            parts.append(f"{name.rsplit('/', 1)[-1]}:{frame.f_lineno}:{frame.f_code.co_name}")
        elif not parts:
            here = f"{name.rsplit('/', 1)[-1]}:{frame.f_code.co_name} > {here}" if here.count(">") < 7 else here
        frame = frame.f_back
    return " < ".join(parts[:5]) + " || " + here
