"""Words whose room stays the same whatever they say, so that the buttons below them do not move under the mouse."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QWidget

from napari_m2dino.widgets.style import Words


class OneLine(Words):
    """One line; what does not fit ends in an ellipsis, and is whole in the tooltip and for screen readers.

    Parameters
    ----------
    name : str
        The name that the style sheet knows it by.
    margin : int
        Pixels on its left and right that the text cannot have.
    """

    def __init__(self, name: str = "quiet", margin: int = 4) -> None:
        super().__init__(name=name)
        self.setWordWrap(False)
        self._whole, self._margin = "", margin

    def text(self) -> str:
        """Return the whole text, not what there is room for."""
        return self._whole

    def say(self, text: str) -> None:
        """Show `text`; an empty one leaves the line empty."""
        self._whole = text
        self.setAccessibleName(text)
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(0, _lines(self, 1))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        room = max(0, self.width() - 2 * self._margin)
        shown = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, room)
        self.setText(shown)
        self.setToolTip(self._whole if shown != self._whole else "")


class TwoLines(Words):
    """Words that wrap and have the room of two lines also where they need less."""

    def say(self, text: str) -> None:
        """Show `text`; an empty one leaves the room empty."""
        self.setText(text)

    def __init__(self) -> None:
        super().__init__()
        self.setAlignment(Qt.AlignmentFlag.AlignTop)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, max(_lines(self, 2), super().minimumSizeHint().height()))


def _lines(widget: QWidget, count: int) -> int:
    return count * widget.fontMetrics().lineSpacing() + 2
