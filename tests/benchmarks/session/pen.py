"""A pen on the real canvas: mouse events put into Qt's queue one by one, and taken from there as a person's are."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QPoint, Qt, QTimer
from qtpy.QtGui import QAction
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

from napari_m2dino.tour.hand import Hand, mouse_event
from tests.benchmarks.session.watch import Watch

Point = tuple[float, float]


class Pen:
    """Paints with the tool that is chosen, clicks and presses keys; turns the event loop between events."""

    def __init__(self, hand: Hand, watch: Watch) -> None:
        self._hand, self._watch = hand, watch
        self.canvas: QWidget = hand.canvas()

    def stroke(self, points: Sequence[Point]) -> None:
        """Press at the first point (y, x), in pixels of the image, drag through the others, and let go."""
        places = [self._hand.on_canvas(y, x) for y, x in points]
        self._post(QEvent.Type.MouseMove, places[0], Qt.MouseButton.NoButton)
        self._post(QEvent.Type.MouseButtonPress, places[0], Qt.MouseButton.LeftButton)
        for place in places[1:]:
            self._post(QEvent.Type.MouseMove, place, Qt.MouseButton.LeftButton)
        self._post(QEvent.Type.MouseButtonRelease, places[-1], Qt.MouseButton.LeftButton)

    def click_at(self, y: float, x: float) -> None:
        """Click on the image."""
        self.stroke([(y, x)])

    def on_screen(self, y: float, x: float) -> tuple[float, float]:
        """Return where a pixel of the image is on the canvas, (y, x) in pixels of the screen."""
        place = self._hand.on_canvas(y, x)
        return place.y(), place.x()

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key on the image."""
        QTimer.singleShot(0, lambda: QTest.keyClick(self.canvas, key, modifier))  # type: ignore[call-overload]  # wrong stubs
        self._watch.turn()

    def click(self, button: QPushButton) -> None:
        """Click a button of the dock."""
        assert button.isEnabled(), f"{button.text()!r} cannot be pressed"
        QTimer.singleShot(0, lambda: QTest.mouseClick(button, Qt.MouseButton.LeftButton))  # type: ignore[call-overload]
        self._watch.turn()

    def choose(self, action: QAction) -> None:
        """Choose an entry of a menu."""
        QTimer.singleShot(0, action.trigger)
        self._watch.turn()

    def _post(self, kind: QEvent.Type, place: QPoint, held: Qt.MouseButton) -> None:
        QApplication.postEvent(self.canvas, mouse_event(self.canvas, kind, place, held))
        self._watch.turn()
