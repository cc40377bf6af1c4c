"""Opening while a person works: files are looked at in a thread, questions are asked, layers come one by one."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.cine.loop import CineLoop
from m2dino.errors import LoopError
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QDialog, QWidget

from napari_m2dino.background import BackgroundThread, guarded, send
from napari_m2dino.errors import Level, explain
from napari_m2dino.napari_compat import chosen_in_window
from napari_m2dino.opening.finding import Choices, Look, Survey, by_choices, in_words, look, survey, worth_telling
from napari_m2dino.opening.showing import Showing
from napari_m2dino.widgets.axis_dialog import AxisDialog
from napari_m2dino.widgets.loop_chooser import LoopChooser

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Opening(QObject):
    """Opens paths, one request after another, without ever holding up the window.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    tell : callable
        `tell(sentence, level)` shows a message.
    window : callable
        Returns the window that dialogs belong to.

    Signals
    -------
    adding : bool
        A layer that is not to be looked at is about to be added, or is.
    progressed : (what is being done, how much is done, how much there is)
        There is nothing left to wait for where the last is 0.
    idle : no arguments
        Everything asked for is open, told or cancelled.
    """

    adding = Signal(bool)
    progressed = Signal(str, int, int)
    idle = Signal()
    _surveyed = Signal(object)
    _looked = Signal(object)
    _answered = Signal(object)
    _failed = Signal(str)

    def __init__(
        self, viewer: Viewer, tell: Callable[[str, Level], None], window: Callable[[], QWidget | None]
    ) -> None:
        super().__init__()
        self._viewer, self._tell, self._window = viewer, tell, window
        self._thread = thread = BackgroundThread("m2dino opening")
        # It may go with its window, without being closed.
        self.destroyed.connect(thread.give_up)
        self._requests: deque[list[Path] | Callable[[], Iterable[CineLoop]]] = deque()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._next)
        self._busy = False
        self._closed = False
        self._problems: list[str] = []
        self._known: dict[Path, Look] = {}
        self._looks: list[Look] = []
        self._questions: list[tuple[Choices, list[Path]]] = []
        self._answers: dict[Path, str] = {}
        self._stop = threading.Event()
        self._showing = Showing(viewer)
        self._showing.adding.connect(self.adding)
        self._showing.shown.connect(self._tell_shown)
        self._showing.done.connect(self._end)
        self.dialog: QDialog | None = None
        self._surveyed.connect(self._take_survey)
        self._looked.connect(self._take_looks)
        self._answered.connect(self._show)
        self._failed.connect(self._give_up)

    def open(self, paths: Iterable[Path]) -> None:
        """Open every loop of all paths; where a folder or a table of contents holds several, ask which.

        What is asked for before napari, or a person, is done with handing over is one request.
        """
        wanted = list(paths)
        last = self._requests[-1] if self._requests and self._soon.isActive() else None
        if isinstance(last, list):
            last += wanted
        else:
            self._requests.append(wanted)
        self._soon.start()

    def open_made(self, make: Callable[[], Iterable[CineLoop]]) -> None:
        """Show the loops that `make` returns; it is called in the thread."""
        self._requests.append(make)
        self._soon.start()

    def stop(self) -> None:
        """Open no more of what is being opened; what is open already stays. Questions are answered by themselves."""
        if not self._busy or self.dialog is not None:
            return
        self._stop.set()
        if self._showing.total:
            self._showing.stop()
            self._stopped()

    def close(self) -> None:
        """Open no more; safe to call twice."""
        self._closed = True
        self._requests.clear()
        self._stop.set()
        self._thread.stop(0)
        # RuntimeError: the window, and what belongs to it, went first.
        with contextlib.suppress(RuntimeError):
            self._showing.stop()
            if self.dialog is not None:
                self.dialog.reject()

    # -- what paths hold ---------------------------------------------------------------------------------------------
    def _next(self) -> None:
        if self._busy or self._closed:
            return
        if chosen_in_window():
            # Between two dropped files napari lets the event loop turn: more are to come.
            self._soon.start()
            return
        if not self._requests:
            self.idle.emit()
            return
        self._busy = True
        self._problems, self._known, self._answers = [], {}, {}
        self._stop.clear()
        self._showing.reset()
        request = self._requests.popleft()
        if isinstance(request, list):
            self._in_thread(lambda: send(self, "_surveyed", survey(request)))
        else:
            self._in_thread(lambda: send(self, "_looked", [Look(loop.path, loop) for loop in request()]))

    def _take_survey(self, found: Survey) -> None:
        if self._closed:
            return
        self._problems += found.problems
        if not found.several:
            self._look_at(found.named)
            return
        chooser = LoopChooser(found.several, self._window())

        def done(answer: int) -> None:
            if answer == QDialog.DialogCode.Accepted:
                self._known = chooser.looks
                self._look_at([*found.named, *chooser.chosen()])
            else:
                self._end()

        self._ask(chooser, done)

    def _look_at(self, paths: Sequence[Path]) -> None:
        known, stop = dict(self._known), self._stop
        self._in_thread(lambda: send(self, "_looked", self._looks_at(paths, known, stop)))

    def _looks_at(self, paths: Sequence[Path], known: Mapping[Path, Look], stop: threading.Event) -> list[Look]:
        """Look at every path; in the thread."""
        looks: list[Look] = []
        for path in paths:
            if stop.is_set():
                break
            if len(paths) > 1:
                send(self, "progressed", f"Reading {len(looks) + 1} of {len(paths)}", len(looks), len(paths))
            looks.append(self._ready(known.get(path) or look(path), stop))
        return looks

    def _ready(self, found: Look, stop: threading.Event) -> Look:
        """Unpack a packed loop, telling how far it is, so that its first frame does not hold up the window."""
        if found.loop is None:
            return found

        def tell(done: int, total: int, text: str) -> None:
            # In thousandths: Qt's bars count in 32 bits.
            part = 1000 * done // max(total, 1)
            send(self, "progressed", f"{text}: {part // 10} %", part, 1000)

        try:
            found.loop.prepare(tell, stop.is_set)
        except LoopError as error:
            return Look(found.path, problem=str(error))
        return found

    # -- which axis is time ------------------------------------------------------------------------------------------
    def _take_looks(self, looks: list[Look]) -> None:
        if self._closed:
            return
        if self._stop.is_set():
            self._stopped()
            return
        self._looks = looks
        self._questions = by_choices(looks)
        self._ask_axis()

    def _ask_axis(self) -> None:
        if not self._questions:
            looks, answers, stop = self._looks, dict(self._answers), self._stop
            if not answers:
                self._show(looks)
                return
            self._in_thread(
                lambda: send(
                    self, "_answered", [self._ready(_with_axis(one, answers.get(one.path)), stop) for one in looks]
                )
            )
            return
        choices, paths = self._questions.pop(0)
        dialog = AxisDialog(paths, choices, self._window())

        def done(answer: int) -> None:
            axis = dialog.axis()
            if answer == QDialog.DialogCode.Accepted and axis is not None:
                self._answers.update(dict.fromkeys(paths, axis))
            self._ask_axis()

        self._ask(dialog, done)

    # -- layers ------------------------------------------------------------------------------------------------------
    def _show(self, looks: Sequence[Look]) -> None:
        if self._closed:
            return
        self._problems += worth_telling(looks)
        self._showing.show([one.loop for one in looks if one.loop is not None])

    def _tell_shown(self, shown: int, wanted: int) -> None:
        if wanted > 1:
            self.progressed.emit(f"Opening {min(shown + 1, wanted)} of {wanted}", shown, wanted)

    def _stopped(self) -> None:
        shown, wanted = self._showing.count, self._showing.total
        self._tell(
            f"Stopped: {shown} of {wanted} loops are open." if wanted else "Stopped: nothing was opened.", "info"
        )
        self._end()

    def _end(self) -> None:
        self.progressed.emit("", 0, 0)
        if self._problems:
            self._tell(in_words(self._problems), "error")
        self._busy = False
        self._next()

    # -- helpers -----------------------------------------------------------------------------------------------------
    def _ask(self, dialog: QDialog, done: Callable[[int], None]) -> None:
        """Show a dialog without stopping anything else, and go on when it is answered."""
        self.progressed.emit("", 0, 0)
        self.dialog = dialog

        def answered(answer: int) -> None:
            self.dialog = None
            if not self._closed:
                done(answer)
            dialog.deleteLater()

        dialog.finished.connect(answered)
        dialog.open()

    def _in_thread(self, job: Callable[[], None]) -> None:
        self._thread.submit(guarded(job, lambda error: send(self, "_failed", explain(error, "opening a loop"))))

    def _give_up(self, sentence: str) -> None:
        if self._closed:
            return
        self._problems.append(sentence)
        self._end()


def _with_axis(one: Look, axis: str | None) -> Look:
    """Return a loop opened with the axis chosen; without an answer it stays closed, and that is no problem to tell."""
    if one.choices is None:
        return one
    return look(one.path, axis) if axis is not None else replace(one, choices=None)
