"""Each task before and after a fine-tuning: two bars with their intervals; harm is red."""

from __future__ import annotations

from collections.abc import Sequence

from m2dino.training.task_rows import Span, TaskRow
from qtpy.QtCore import QLineF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen

from napari_m2dino.widgets.plot import Plot

BEFORE, SAME, BETTER, HARM = "#8a8f98", "#4a9be8", "#3fb56b", "#e05555"
MOST = 6
"""Rows that are drawn; the rest are in words."""
_ROW, _TEXT, _BAR = 45, 15, 8


class TaskBars(Plot):
    """Two bars a task, in the order in which the tasks are to be read."""

    def __init__(self) -> None:
        super().__init__("Each task before and after")
        self.rows: Sequence[TaskRow] = ()

    def sizeHint(self) -> QSize:
        return QSize(200, max(1, len(self.rows)) * _ROW)

    def show_rows(self, rows: Sequence[TaskRow]) -> None:
        """Show these tasks, or the first of them."""
        self.rows = tuple(rows)[:MOST]
        self.setToolTip("\n".join(f"{row.task}: {in_words(row)}" for row in rows))
        self.updateGeometry()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small = painter.font()
        small.setPointSizeF(8.0)
        bold = QFont(small)
        bold.setBold(True)
        for number, row in enumerate(self.rows):
            top = number * _ROW
            place = QRectF(1, top, self.width() - 2, _TEXT)
            ink = QColor(HARM) if row.harmed else self._ink
            painter.setPen(ink)
            painter.setFont(bold)
            metrics = painter.fontMetrics()
            words = row.text()
            painter.setFont(small)
            room = place.width() - painter.fontMetrics().horizontalAdvance(words) - 8
            painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, words)
            painter.setFont(bold)
            name = metrics.elidedText(row.task, Qt.TextElideMode.ElideRight, int(max(room, 20)))
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
            most = _most(row)
            y = top + _TEXT + 2
            if row.before is not None:
                self._bar(painter, y, row.before, most, BEFORE)
            self._bar(painter, y + _BAR + 3, row.after, most, colour_of(row))
        painter.end()

    def _bar(self, painter: QPainter, y: float, span: Span, most: float, colour: str) -> None:
        width = self.width() - 4
        scale = width / most
        painter.setPen(Qt.PenStyle.NoPen)
        track = QColor(self._ink)
        track.setAlpha(28)
        painter.setBrush(track)
        painter.drawRoundedRect(QRectF(2, y, width, _BAR), 2, 2)
        painter.setBrush(QColor(colour))
        painter.drawRoundedRect(QRectF(2, y, max(span.value * scale, 1), _BAR), 2, 2)
        if span.low is not None and span.high is not None:
            painter.setPen(QPen(self._ink, 1.3))
            low, high, middle = 2 + span.low * scale, 2 + min(span.high, most) * scale, y + _BAR / 2
            painter.drawLine(QLineF(low, middle, high, middle))
            for end in (low, high):
                painter.drawLine(QLineF(end, middle - 3, end, middle + 3))
        painter.setBrush(Qt.BrushStyle.NoBrush)


def colour_of(row: TaskRow) -> str:
    """Return the colour of a task's bar: red where it was harmed, green where it surely gained."""
    return HARM if row.harmed else BETTER if row.better or row.before is None else SAME


def in_words(row: TaskRow) -> str:
    """Return a row for a tooltip: what it rests on, and what the guard says."""
    subjects = f" of {row.subjects} subject{'' if row.subjects == 1 else 's'}" if row.subjects else ""
    verdict = ", harmed" if row.harmed else ", better" if row.better else ""
    return f"{row.text()}; {row.after.n} held-out images{subjects}{verdict}"


def _most(row: TaskRow) -> float:
    if not row.lower_is_better:
        return 1.0
    spans = [span for span in (row.before, row.after) if span is not None]
    return max((span.high or span.value) for span in spans) * 1.05 or 1.0
