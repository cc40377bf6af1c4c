"""Opening while a person works: files are looked at in a thread, questions are asked, layers come one by one."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.cine.loop import CineLoop
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QDialog, QWidget

from napari_m2dino.background import BackgroundThread
from napari_m2dino.errors import Level, explain
from napari_m2dino.loop_layer import add_loop
from napari_m2dino.opening.finding import Choices, Look, Survey, by_choices, in_words, look, survey, worth_telling
from napari_m2dino.widgets.axis_dialog import AxisDialog
from napari_m2dino.widgets.loop_chooser import LoopChooser

if TYPE_CHECKING:
    from napari.layers import Image
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
        Layers are about to be added, or all of them are.
    idle : no arguments
        Everything asked for is open, told or cancelled.
    """

    adding = Signal(bool)
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
        self._thread = BackgroundThread("m2dino opening")
        self._requests: deque[Callable[[], None]] = deque()
        self._busy = False
        self._closed = False
        self._problems: list[str] = []
        self._known: dict[Path, Look] = {}
        self._looks: list[Look] = []
        self._questions: list[tuple[Choices, list[Path]]] = []
        self._answers: dict[Path, str] = {}
        self._to_show: deque[CineLoop] = deque()
        self._first: Image | None = None
        self.dialog: QDialog | None = None
        self._surveyed.connect(self._take_survey)
        self._looked.connect(self._take_looks)
        self._answered.connect(self._show)
        self._failed.connect(self._give_up)

    def open(self, paths: Iterable[Path]) -> None:
        """Open every loop of all paths; where a folder or a table of contents holds several, ask which."""
        wanted = list(paths)
        self._requests.append(lambda: self._send("_surveyed", survey(wanted)))
        self._next()

    def open_made(self, make: Callable[[], Iterable[CineLoop]]) -> None:
        """Show the loops that `make` returns; it is called in the thread."""
        self._requests.append(lambda: self._send("_looked", [Look(loop.path, loop) for loop in make()]))
        self._next()

    def close(self) -> None:
        """Open no more; safe to call twice."""
        self._closed = True
        self._requests.clear()
        self._to_show.clear()
        self._thread.stop(0)
        if self.dialog is not None:
            # RuntimeError: its window, and it with it, went first.
            with contextlib.suppress(RuntimeError):
                self.dialog.reject()

    # -- what paths hold ---------------------------------------------------------------------------------------------
    def _next(self) -> None:
        if self._busy or self._closed:
            return
        if not self._requests:
            self.idle.emit()
            return
        self._busy = True
        self._problems, self._known, self._answers, self._first = [], {}, {}, None
        self._in_thread(self._requests.popleft())

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
        if len(paths) > 1:
            self._tell(f"Opening {len(paths)} loops…", "info")
        known = self._known
        self._in_thread(lambda: self._send("_looked", [known.get(path) or look(path) for path in paths]))

    # -- which axis is time ------------------------------------------------------------------------------------------
    def _take_looks(self, looks: list[Look]) -> None:
        if self._closed:
            return
        self._looks = looks
        self._questions = by_choices(looks)
        self._ask_axis()

    def _ask_axis(self) -> None:
        if not self._questions:
            looks, answers = self._looks, dict(self._answers)
            if not answers:
                self._show(looks)
                return
            self._in_thread(lambda: self._send("_answered", [_with_axis(one, answers.get(one.path)) for one in looks]))
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
        self._problems += worth_telling(looks)
        self._to_show.extend(one.loop for one in looks if one.loop is not None)
        self.adding.emit(True)
        self._show_one()

    def _show_one(self) -> None:
        """Add one layer and go on in the next turn of the event loop, so that thirty do not hold up the window."""
        if self._closed:
            return
        if not self._to_show:
            self._end()
            return
        # The others would lie over the first; hidden, they also cost napari less.
        layer = add_loop(self._viewer, self._to_show.popleft(), visible=self._first is None)
        self._first = self._first or layer
        QTimer.singleShot(0, self._show_one)

    def _end(self) -> None:
        layers = self._viewer.layers
        if self._first is not None and self._first in layers:
            # The first of several is looked at first.
            layers.selection.active = self._first
        self.adding.emit(False)
        if self._problems:
            self._tell(in_words(self._problems), "error")
        self._busy = False
        self._next()

    # -- helpers -----------------------------------------------------------------------------------------------------
    def _ask(self, dialog: QDialog, done: Callable[[int], None]) -> None:
        """Show a dialog without stopping anything else, and go on when it is answered."""
        self.dialog = dialog

        def answered(answer: int) -> None:
            self.dialog = None
            if not self._closed:
                done(answer)
            dialog.deleteLater()

        dialog.finished.connect(answered)
        dialog.open()

    def _in_thread(self, job: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: whatever it is, a person is told
                self._send("_failed", explain(error, "opening a loop"))

        self._thread.submit(guarded)

    def _give_up(self, sentence: str) -> None:
        if self._closed:
            return
        self._problems.append(sentence)
        self._end()

    def _send(self, signal: str, value: object) -> None:
        # RuntimeError: the window went meanwhile.
        with contextlib.suppress(RuntimeError):
            getattr(self, signal).emit(value)


def _with_axis(one: Look, axis: str | None) -> Look:
    """Return a loop opened with the axis chosen; without an answer it stays closed, and that is no problem to tell."""
    if one.choices is None:
        return one
    return look(one.path, axis) if axis is not None else replace(one, choices=None)
