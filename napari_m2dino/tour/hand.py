"""The hand that the tour clicks, presses keys and paints with, and the watch it carries."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_m2dino.widgets.dock import M2DinoDock


class TourError(Exception):
    """A station did not come to its end; the message says what was waited for."""


class Hand:
    """Drives one window. Every wait turns the event loop, and notes its longest standstill."""

    def __init__(self, viewer: Viewer, dock: M2DinoDock) -> None:
        self.viewer = viewer
        self.dock = dock
        self.longest_gap_s = 0.0

    def wait(self, until: Callable[[], bool], what: str, limit_s: float = 120.0) -> float:
        """Turn the event loop until something is so; return how long that took.

        Raises
        ------
        TourError
            It was not so within `limit_s`.
        """
        began = last = time.perf_counter()
        while not until():
            QApplication.processEvents()
            now = time.perf_counter()
            self.longest_gap_s = max(self.longest_gap_s, now - last)
            last = now
            if now - began > limit_s:
                raise TourError(f"waited {limit_s:.0f} s for {what}; the dock says: {self.dock.message.text()}")
            time.sleep(0.002)
        return time.perf_counter() - began

    def pause(self, seconds: float) -> None:
        """Let the window settle."""
        end = time.perf_counter() + seconds
        self.wait(lambda: time.perf_counter() >= end, "a pause", seconds + 60)

    def picture(self, file: Path) -> None:
        """Picture the window, without napari's notices over it."""
        window = self.dock.window()
        for child in window.findChildren(QWidget) if window is not None else []:
            if type(child).__name__ == "NapariQtNotification":
                child.close()
        self.pause(0.4)
        self.viewer.window.screenshot(str(file), flash=False, canvas_only=False)

    def click(self, button: QPushButton) -> None:
        """Click a button of the dock, which must be there and enabled."""
        if not button.isEnabled() or not button.isVisible():
            raise TourError(f"“{button.text()}” cannot be pressed; the dock says: {self.dock.message.text()}")
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)  # type: ignore[call-overload]  # the stubs are wrong

    def press(self, key: Qt.Key) -> None:
        """Press a key on the image."""
        QTest.keyClick(self.canvas(), key)  # type: ignore[call-overload]  # as above

    def paint(self, points: list[tuple[float, float]]) -> None:
        """Drag the mouse through points (y, x), in pixels of the image, with the tool that is chosen."""
        canvas, places = self.canvas(), [self.on_canvas(y, x) for y, x in points]

        def mouse(kind: QEvent.Type, place: QPoint, held: Qt.MouseButton) -> None:
            QApplication.sendEvent(canvas, mouse_event(canvas, kind, place, held))

        mouse(QEvent.Type.MouseMove, places[0], Qt.MouseButton.NoButton)
        mouse(QEvent.Type.MouseButtonPress, places[0], Qt.MouseButton.LeftButton)
        for place in places[1:]:
            mouse(QEvent.Type.MouseMove, place, Qt.MouseButton.LeftButton)
            QApplication.processEvents()
        mouse(QEvent.Type.MouseButtonRelease, places[-1], Qt.MouseButton.LeftButton)
        self.pause(0.2)

    def canvas(self) -> QWidget:
        """Return the widget that the image is drawn on."""
        window = self.dock.window()
        children = window.findChildren(QWidget) if window is not None else []
        found = [child for child in children if type(child).__name__ == "CanvasBackendDesktop"]
        if not found:
            raise TourError("the window has no canvas")
        return found[0]

    def on_canvas(self, y: float, x: float) -> QPoint:
        """Return where a pixel of the image is on the canvas."""
        canvas, camera = self.canvas(), self.viewer.camera
        scale = self.viewer.layers[0].scale
        down = (y * scale[-2] - camera.center[-2]) * camera.zoom + canvas.height() / 2
        right = (x * scale[-1] - camera.center[-1]) * camera.zoom + canvas.width() / 2
        return QPoint(round(right), round(down))


def mouse_event(canvas: QWidget, kind: QEvent.Type, place: QPoint, held: Qt.MouseButton) -> QMouseEvent:
    """Return what Qt says of the left button at a place of the canvas; `held` is what is pressed meanwhile."""
    which = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
    buttons = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else held
    on_screen = QPointF(canvas.mapToGlobal(place))
    return QMouseEvent(kind, QPointF(place), on_screen, which, buttons, Qt.KeyboardModifier.NoModifier)
