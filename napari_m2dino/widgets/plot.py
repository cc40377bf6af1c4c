"""What the plots in the dock have in common: their ink, and the frame that they draw in."""

from __future__ import annotations

from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget


class Plot(QWidget):
    """A plot as wide as the dock. `name` is what a screen reader calls it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._ink = QColor("grey")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(name)

    def set_ink(self, colour: str) -> None:
        """Write and draw the frame in the colour of the theme's text."""
        self._ink = QColor(colour)
        self.update()

    @property
    def ink(self) -> str:
        """The colour of the theme's text."""
        return self._ink.name()

    def _framed(self, area: QRectF) -> QPainter:
        """Return a painter for small letters that has drawn a faint frame around an area."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPointSizeF(8.0)
        painter.setFont(font)
        faint = QColor(self._ink)
        faint.setAlpha(70)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(area)
        return painter
