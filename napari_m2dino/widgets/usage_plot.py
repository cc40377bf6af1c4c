"""How a task uses the experts, before and after: a cell for each expert of each mixture, darker the more it is used."""

from __future__ import annotations

from m2dino.training.comparison_report import Experts
from qtpy.QtCore import QEvent, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QToolTip

from napari_m2dino.widgets.plot import Plot

COLOUR, OWN_COLOUR = "#4a9be8", "#9b7be0"
_CELL, _HEAD, _GAP = 13, 15, 10


def in_cell(share: float, own: bool) -> str:
    """Return what a cell says: a gate as a decimal, and the task's own expert, which adds little, in per cent."""
    if not own:
        return f"{share:.2f}".removeprefix("0")
    return f"{share:.0%}" if share >= 0.1 or not share else f"{share:.1%}"


class UsagePlot(Plot):
    """Two tables of cells side by side, a row a mixture; the last column is the task's own expert, if it has one."""

    def __init__(self) -> None:
        super().__init__("Use of the experts before and after")
        self.before, self.after = Experts(), Experts()

    def sizeHint(self) -> QSize:
        rows = max(len(self.before.gates), len(self.after.gates), 1)
        return QSize(200, _HEAD + rows * _CELL + 1)

    def show_usage(self, before: Experts, after: Experts) -> None:
        """Show how the experts are used by the model before and the one after."""
        self.before, self.after = before, after
        self.updateGeometry()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        font = painter.font()
        font.setPointSizeF(8.0)
        painter.setFont(font)
        for place, (name, used) in zip(self._places(), self._both(), strict=True):
            painter.setPen(self._ink)
            own = ", last: its own" if used.own else ""
            head = QRectF(place.left(), 0, place.width(), _HEAD)
            words = f"experts {name}{own}" if used.gates else f"{name}: not known"
            painter.drawText(head, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
            self._table(painter, place, used)
        painter.end()

    def _both(self) -> tuple[tuple[str, Experts], tuple[str, Experts]]:
        return ("before", self.before), ("after", self.after)

    def _places(self) -> tuple[QRectF, QRectF]:
        half = (self.width() - _GAP) / 2
        return QRectF(0, _HEAD, half, self.height() - _HEAD), QRectF(half + _GAP, _HEAD, half, self.height() - _HEAD)

    def _cells(self, place: QRectF, used: Experts) -> list[tuple[QRectF, float, bool, int, int]]:
        """Return the cells: where, how much, whether it is the task's own expert, row and column."""
        found = []
        columns = max(map(len, (self.before.gates or self.after.gates)[:1] or [()]), default=0)
        wide = place.width() / (columns + 1.15 if self.before.own or self.after.own else max(columns, 1))
        for line, gates in enumerate(used.gates):
            y = place.top() + line * _CELL
            for column, gate in enumerate(gates):
                cell = QRectF(place.left() + column * wide, y, wide - 1, _CELL - 1)
                found.append((cell, gate, False, line, column))
            if line < len(used.own):
                cell = QRectF(place.left() + (columns + 0.15) * wide, y, wide - 1, _CELL - 1)
                found.append((cell, used.own[line], True, line, columns))
        return found

    def _table(self, painter: QPainter, place: QRectF, used: Experts) -> None:
        most_own = max([*self.before.own, *self.after.own], default=0.0) or 1.0
        most = max([gate for one in (self.before, self.after) for row in one.gates for gate in row], default=1.0)
        light = self._ink.lightnessF() > 0.5
        for cell, share, own, _, _ in self._cells(place, used):
            ink = QColor(OWN_COLOUR if own else COLOUR)
            ink.setAlphaF(0.12 + 0.88 * min(share / (most_own if own else most), 1.0))
            painter.fillRect(cell, ink)
            if cell.width() > 24:
                painter.setPen(QColor("white" if light else "black"))
                painter.drawText(cell, Qt.AlignmentFlag.AlignCenter, in_cell(share, own))

    def event(self, event: QEvent | None) -> bool:
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._told(event.pos().x(), event.pos().y()), self)
            return True
        return bool(super().event(event))

    def _told(self, x: int, y: int) -> str:
        for place, (name, used) in zip(self._places(), self._both(), strict=True):
            for cell, share, own, line, column in self._cells(place, used):
                if cell.contains(x, y):
                    who = "the task's own expert adds" if own else f"expert {column + 1}: gate"
                    much = f"{share:.1%} of what comes out" if own else f"{share:.2f}"
                    return f"{name}, mixture {line + 1}, {who} {much}"
        return "Mean over the held-out frames; a row for each mixture of experts, the first at the top"
