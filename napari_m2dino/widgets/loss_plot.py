"""The loss of a training as a line, with the held-out figure beside it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF

from napari_m2dino.widgets.plot import Plot

LOSS, FIGURE = "#f0a030", "#3fb56b"


class LossPlot(Plot):
    """Two lines over the epochs: the loss, and the held-out figure, each on a scale of its own."""

    def __init__(self) -> None:
        super().__init__("Training curve")
        self._losses: Sequence[tuple[float, float]] = ()
        self._figures: Sequence[tuple[float, float]] = ()
        self._name = ""

    def sizeHint(self) -> QSize:
        return QSize(200, 84)

    def show_run(
        self, losses: Sequence[tuple[float, float]], figures: Sequence[tuple[float, float]], name: str
    ) -> None:
        """Show (epoch, value) pairs of the loss and of the figure called `name`."""
        self._losses, self._figures, self._name = losses, figures, name
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        frame = QRectF(1, 16, self.width() - 2, self.height() - 18)
        painter = self._framed(frame)
        self._line(painter, frame, self._losses, LOSS)
        self._line(painter, frame, self._figures, FIGURE)
        head = QRectF(1, 0, self.width() - 2, 14)
        if self._losses:
            painter.setPen(QColor(LOSS))
            painter.drawText(head, Qt.AlignmentFlag.AlignLeft, f"loss {self._losses[-1][1]:.3f}")
        if self._figures:
            painter.setPen(QColor(FIGURE))
            painter.drawText(head, Qt.AlignmentFlag.AlignRight, f"held-out {self._name} {self._figures[-1][1]:.3f}")
        painter.end()

    def _line(self, painter: QPainter, frame: QRectF, pairs: Sequence[tuple[float, float]], colour: str) -> None:
        if not pairs:
            return
        last = max(max(epoch for epoch, _ in (*self._losses, *self._figures)), 1.0)
        low, high = min(value for _, value in pairs), max(value for _, value in pairs)
        span = (high - low) or 1.0
        points = [
            QPointF(
                frame.left() + 3 + (frame.width() - 6) * epoch / last,
                frame.bottom() - 4 - (frame.height() - 8) * (value - low) / span,
            )
            for epoch, value in pairs
        ]
        painter.setPen(QPen(QColor(colour), 1.6))
        painter.drawPolyline(QPolygonF(points))
        painter.setBrush(QColor(colour))
        painter.drawEllipse(points[-1], 2.2, 2.2)
        painter.setBrush(Qt.BrushStyle.NoBrush)
