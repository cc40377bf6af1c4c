"""The classes of a frame with their probabilities; a click is a person's choice."""

from __future__ import annotations

from collections.abc import Sequence

from m2dino.tasks import Label
from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_m2dino.result_layers.colours import colour
from napari_m2dino.shortcuts import CLASS_KEYS

ROW = 22


class ClassBar(QWidget):
    """One row a class: name, bar, probability. Emits `chosen(index)` on a click."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._labels: Sequence[Label] = ()
        self._values: list[float] | None = None
        self._ink = QColor("white")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Class of the frame")

    def sizeHint(self) -> QSize:
        return QSize(200, ROW * max(len(self._labels), 1))

    def set_ink(self, ink: str) -> None:
        self._ink = QColor(ink)
        self.update()

    def set_labels(self, labels: Sequence[Label]) -> None:
        """Offer these classes."""
        self._labels, self._values = labels, None
        self.updateGeometry()
        self.update()

    def show_values(self, values: list[float] | None) -> None:
        """Show probabilities, one a class, summing to 1; None where the frame has no class yet."""
        self._values = values
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        values = self._values
        best = values.index(max(values)) if values is not None else -1
        name_width = min(self.width() * 0.42, 150.0)
        for index, label in enumerate(self._labels):
            top = index * ROW
            font = painter.font()
            font.setBold(index == best)
            painter.setFont(font)
            painter.setPen(self._ink)
            shown = f"{index + 1}  {label.name}" if index < len(CLASS_KEYS) else label.name
            name = painter.fontMetrics().elidedText(shown, Qt.TextElideMode.ElideRight, int(name_width) - 6)
            middle = Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(4, top, name_width, ROW), middle | Qt.AlignmentFlag.AlignLeft, name)
            track = QRectF(name_width + 4, top + 5, self.width() - name_width - 50, ROW - 10)
            faint = QColor(self._ink)
            faint.setAlpha(35)
            painter.fillRect(track, faint)
            if values is not None:
                share = values[index]
                bar = QColor(colour(index + 1))
                painter.fillRect(QRectF(track.left(), track.top(), track.width() * share, track.height()), bar)
                right = QRectF(self.width() - 42, top, 40, ROW)
                painter.drawText(right, middle | Qt.AlignmentFlag.AlignRight, f"{share:.2f}")
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None:
            index = int(event.pos().y()) // ROW
            if 0 <= index < len(self._labels):
                self.chosen.emit(index)

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            index = int(event.pos().y()) // ROW
            if 0 <= index < len(self._labels):
                label = self._labels[index]
                sure = f" (meaning: {label.certainty})" if label.certainty in ("inferred", "unknown") else ""
                key = f"  [{index + 1}]" if index < len(CLASS_KEYS) else ""
                text = f"{label.meaning or label.name}{sure}. Click to label this frame so.{key}"
                QToolTip.showText(event.globalPos(), text, self)
                return True
        return bool(super().event(event))
