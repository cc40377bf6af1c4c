"""Words whose room stays the same whatever they say, so that the buttons below them do not move under the mouse."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QRect, QSize, Qt
from qtpy.QtGui import QResizeEvent

from napari_m2dino.widgets.style import Words


class _Shortened(Words):
    """Words that show as much of their text as there is room for; the whole is in the tooltip."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._whole = ""

    def text(self) -> str:
        """Return the whole text, not what there is room for."""
        return self._whole

    def say(self, text: str) -> None:
        """Show `text`; an empty one leaves the room empty. Screen readers have the whole."""
        self._whole = text
        self.setAccessibleName(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def _fit(self) -> None:
        shown = self._shortened()
        self.setText(shown)
        self.setToolTip(self._whole if shown != self._whole else "")

    def _shortened(self) -> str:
        """Return as much of the text as there is room for; here all of it."""
        return self._whole


class OneLine(_Shortened):
    """One line; what does not fit ends in an ellipsis.

    Parameters
    ----------
    name : str
        The name that the style sheet knows it by.
    margin : int
        Pixels on its left and right that the text cannot have.
    """

    def __init__(self, name: str = "quiet", margin: int = 4) -> None:
        super().__init__(name)
        self.setWordWrap(False)
        self._margin = margin

    def sizeHint(self) -> QSize:
        return QSize(0, self.fontMetrics().lineSpacing() + 2)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def _shortened(self) -> str:
        room = max(0, self.width() - 2 * self._margin)
        return self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, room)


class TwoLines(_Shortened):
    """Words that wrap and always have the room of two lines."""

    def __init__(self) -> None:
        super().__init__("quiet")
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        # Never shown: it knows what two lines take, with all that the style sheet puts around them.
        self._ruler = Words("two\nlines")
        self._ruler.setParent(self)
        self._ruler.setAlignment(self.alignment())
        self._ruler.hide()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        self._ruler.ensurePolished()  # what is never shown gets no style of itself
        return self._ruler.heightForWidth(width)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.heightForWidth(self.width()))

    def _shortened(self) -> str:
        words, shown = self._whole.split(" "), self._whole
        while len(words) > 1 and self._overflows(shown):
            words.pop()
            shown = " ".join(words).rstrip(",;") + " …"
        return shown

    def _overflows(self, text: str) -> bool:
        room = QRect(0, 0, max(1, self.contentsRect().width() - 8), 10_000)
        wraps = int(Qt.TextFlag.TextWordWrap)
        return self.fontMetrics().boundingRect(room, wraps, text).height() > 2 * self.fontMetrics().lineSpacing() + 1
