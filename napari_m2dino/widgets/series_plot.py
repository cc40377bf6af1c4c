"""One figure over the frames of a loop, with end-diastole and end-systole; a click goes to the frame."""

from __future__ import annotations

from collections.abc import Mapping

from m2dino.measure.cycle import Cycle
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF

from napari_m2dino.figure_words import figure
from napari_m2dino.widgets.plot import Plot
from napari_m2dino.widgets.style import MOMENT_COLOURS

LINE = "#4a9be8"
_LEFT, _TOP, _BOTTOM = 4.0, 16.0, 14.0


class SeriesPlot(Plot):
    """A line over the frames; gaps where frames have no value. Emits `chosen(frame)` on a click."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__("Figure over the frames")
        self._series: Mapping[int, float] = {}
        self._frames, self._current, self._unit = 1, 0, ""
        self._cycle: Cycle | None = None
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(200, 110)

    def show_series(self, series: Mapping[int, float], unit: str, frames: int, cycle: Cycle | None) -> None:
        """Show values by frame of a loop of `frames` frames, and where its cavity is largest and smallest."""
        self._series, self._unit, self._frames, self._cycle = series, unit, max(frames, 1), cycle
        self.setToolTip("" if cycle is None else f"Marks: {cycle.source}")
        self.update()

    def show_frame(self, frame: int) -> None:
        """Mark the frame shown."""
        if frame != self._current:
            self._current = frame
            self.update()

    def frame_at(self, x: float) -> int:
        """Return the frame at a horizontal position in the widget."""
        share = (x - _LEFT) / max(self.width() - 2 * _LEFT, 1)
        return min(max(round(share * (self._frames - 1)), 0), self._frames - 1)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        area = QRectF(_LEFT, _TOP, self.width() - 2 * _LEFT, self.height() - _TOP - _BOTTOM)
        painter = self._framed(area)
        if not self._series:
            painter.setPen(self._ink)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "nothing to measure yet")
            painter.end()
            return
        painter.drawLine(QPointF(self._x(self._current), area.top()), QPointF(self._x(self._current), area.bottom()))
        low, high = min(self._series.values()), max(self._series.values())
        points = {
            frame: QPointF(self._x(frame), area.bottom() - 4 - (area.height() - 8) * _share(value, low, high))
            for frame, value in self._series.items()
        }
        self._draw_lines(painter, points)
        self._draw_words(painter, area, low, high)
        self._draw_cycle(painter, area, points)
        painter.end()

    def _x(self, frame: int) -> float:
        return _LEFT + (self.width() - 2 * _LEFT) * frame / max(self._frames - 1, 1)

    def _draw_lines(self, painter: QPainter, points: Mapping[int, QPointF]) -> None:
        painter.setPen(QPen(QColor(LINE), 1.6))
        painter.setBrush(QColor(LINE))
        run: list[QPointF] = []
        for frame, point in points.items():
            if run and frame - 1 not in points:
                painter.drawPolyline(QPolygonF(run))
                run = []
            run.append(point)
            if frame - 1 not in points and frame + 1 not in points:
                painter.drawEllipse(point, 1.6, 1.6)  # a frame on its own makes no line
        painter.drawPolyline(QPolygonF(run))
        if self._current in points:
            painter.drawEllipse(points[self._current], 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _draw_words(self, painter: QPainter, area: QRectF, low: float, high: float) -> None:
        painter.setPen(self._ink)
        head = QRectF(area.left(), 0, area.width(), _TOP - 2)
        painter.drawText(head, Qt.AlignmentFlag.AlignLeft, f"{figure(low, self._unit)} to {figure(high, self._unit)}")
        if self._current in self._series:
            here = f"frame {self._current}: {figure(self._series[self._current], self._unit)}"
            painter.drawText(head, Qt.AlignmentFlag.AlignRight, here)

    def _draw_cycle(self, painter: QPainter, area: QRectF, points: Mapping[int, QPointF]) -> None:
        if self._cycle is None:
            return
        moments = (("end-diastole", "ED", self._cycle.diastole), ("end-systole", "ES", self._cycle.systole))
        for name, short, frame in moments:
            colour, at = QColor(MOMENT_COLOURS[name]), points[frame]
            painter.setPen(QPen(colour, 1.4, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(at.x(), area.top()), QPointF(at.x(), area.bottom()))
            painter.setPen(colour)
            left = min(max(at.x() - 30, 0.0), self.width() - 60.0)
            painter.drawText(
                QRectF(left, area.bottom() + 1, 60, _BOTTOM), Qt.AlignmentFlag.AlignCenter, f"{short} {frame}"
            )

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None:
            self.chosen.emit(self.frame_at(float(event.pos().x())))


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high == low else (value - low) / (high - low)
