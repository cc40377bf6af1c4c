"""The loop at a glance: one bar a frame, its height the confidence, its colour the state; a click goes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m2dino.cine.markers import Marker
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_m2dino.session import FrameState
from napari_m2dino.widgets.style import MOMENT_COLOURS, ORIGIN_COLOUR, STATE_COLOURS

_TICKS_END = 10
_NEAR_PX = 5


class FrameStrip(QWidget):
    """A strip of all frames; emits `chosen(frame)` on a click or a drag."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._states: Sequence[FrameState] = ()
        self._confidences: Sequence[float | None] = ()
        self._current = 0
        self._damaged: frozenset[int] = frozenset()
        self._moments: Sequence[Marker] = ()
        self._origins: Mapping[int, str] = {}
        self._marker = QColor("white")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Frames of the loop")

    def sizeHint(self) -> QSize:
        return QSize(200, 46)

    def show_states(
        self,
        states: Sequence[FrameState],
        confidences: Sequence[float | None],
        current: int,
        damaged: frozenset[int] = frozenset(),
    ) -> None:
        """Show these states and confidences (in [0, 1] or None), one a frame, and mark the frame shown."""
        self._states, self._confidences, self._current, self._damaged = states, confidences, current, damaged
        self.update()

    def show_moments(self, moments: Sequence[Marker]) -> None:
        """Show the moments that the file names as ticks above the bars."""
        if moments != self._moments:
            self._moments = moments
            self.update()

    def show_origins(self, origins: Mapping[int, str]) -> None:
        """Show which frames have a proposal that no model made: a few words by frame, empty for a model's."""
        if origins != self._origins:
            self._origins = origins
            self.update()

    def set_marker_colour(self, colour: str) -> None:
        self._marker = QColor(colour)
        self.update()

    def frame_at(self, x: float) -> int:
        """Return the frame under the horizontal position `x`, in pixels of the widget."""
        count = len(self._states)
        return min(max(int(x / max(self.width(), 1) * count), 0), count - 1)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        if not self._states:
            return
        painter = QPainter(self)
        step = self.width() / len(self._states)
        top, floor = 8.0, float(self.height() - 2)
        gap = 1.0 if step > 4 else 0.0
        for frame, state in enumerate(self._states):
            confidence = self._confidences[frame]
            share = 0.12 if state is FrameState.BLANK else 1.0 if confidence is None else max(confidence, 0.12)
            tall = (floor - top) * share
            colour = QColor(STATE_COLOURS["rejected" if frame in self._damaged else state.value])
            if state is FrameState.PROPOSED and self._origins.get(frame):
                colour = QColor(ORIGIN_COLOUR)
            if state is FrameState.BLANK:
                colour.setAlpha(110)
            painter.fillRect(QRectF(frame * step, floor - tall, max(step - gap, 1.0), tall), colour)
        for moment in self._moments:
            painter.fillRect(QRectF((moment.frame + 0.5) * step - 1, 0, 2, top), QColor(_colour_of(moment)))
        middle = (self._current + 0.5) * step
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(self._marker)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawPolygon(QPolygonF([QPointF(middle - 4, 0), QPointF(middle + 4, 0), QPointF(middle, 6)]))
        painter.fillRect(QRectF(self._current * step, floor, max(step - gap, 2.0), 2), self._marker)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        if event is not None and self._states and (moment := self._moment_at(event.pos().x(), event.pos().y())):
            self.chosen.emit(moment.frame)
            return
        self._choose(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        self._choose(event)

    def _choose(self, event: QMouseEvent | None) -> None:
        if event is not None and self._states:
            self.chosen.emit(
                self.frame_at(event.position().x() if hasattr(event, "position") else event.localPos().x())
            )

    def _moment_at(self, x: int, y: int) -> Marker | None:
        """Return the moment whose tick is under, or next to, a place of the widget."""
        if y > _TICKS_END or not self._moments:
            return None
        step = self.width() / len(self._states)
        away = {moment: abs((moment.frame + 0.5) * step - x) for moment in self._moments}
        nearest = min(away, key=away.__getitem__)
        return nearest if away[nearest] <= _NEAR_PX else None

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and self._states:
            moment = self._moment_at(event.x(), event.y())
            frame = moment.frame if moment else self.frame_at(event.x())
            QToolTip.showText(event.globalPos(), self.describe(frame), self)
            return True
        return bool(super().event(event))

    def describe(self, frame: int) -> str:
        """Return a frame's state in words."""
        confidence = self._confidences[frame]
        state = self._states[frame]
        origin = self._origins.get(frame, "") if state is FrameState.PROPOSED else ""
        text = f"frame {frame}: {'damaged' if frame in self._damaged else origin or state.value}"
        if confidence is not None:
            text = f"{text}, confidence {confidence:.2f}"
        named = [moment.name for moment in self._moments if moment.frame == frame]
        return f"{' and '.join(named)}: {text}" if named else text


def _colour_of(moment: Marker) -> str:
    return MOMENT_COLOURS.get(moment.name, MOMENT_COLOURS["frame of interest"])
