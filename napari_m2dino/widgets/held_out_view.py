"""The held-out frames side by side: before, after, label; the worst first."""

from __future__ import annotations

from pathlib import Path

from m2dino.training.comparison_report import FramePicture, Report
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent
from qtpy.QtWidgets import QDialog, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_m2dino.widgets.plot import Plot
from napari_m2dino.widgets.style import small_button

HEAD = 16
"""Height of the words above a picture, px."""


class Triptych(Plot):
    """One picture, as wide as there is room, with three words above it. Emits `clicked`."""

    clicked = Signal()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._picture = QPixmap()
        self._words = ("", "", "")
        # Not fixed, or a layout would keep to the height of the hint, whatever the width.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        return QSize(200, self.heightForWidth(200))

    def heightForWidth(self, width: int) -> int:
        """Return the room for three squares side by side, and the words above them."""
        return round(width / 3) + HEAD

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        # Asked of itself: layouts do not always ask again for a height that goes by the width once a width has changed.
        self.setMinimumHeight(self.heightForWidth(self.width()))

    def show_frame(self, picture: QPixmap, one: FramePicture) -> None:
        """Show a frame."""
        self._picture = picture
        self._words = (f"before {one.before}", f"after {one.after}", f"label {one.truth}")
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        self.clicked.emit()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        font = painter.font()
        font.setPointSizeF(8.0)
        painter.setFont(font)
        painter.setPen(self._ink)
        third = self.width() / 3
        metrics = painter.fontMetrics()
        for number, words in enumerate(self._words):
            told = metrics.elidedText(words, Qt.TextElideMode.ElideRight, int(third) - 4)
            painter.drawText(round(number * third), 0, round(third), 15, Qt.AlignmentFlag.AlignLeft, told)
        if not self._picture.isNull():
            scaled = self._picture.size().scaled(
                QSize(self.width(), self.height() - HEAD), Qt.AspectRatioMode.KeepAspectRatio
            )
            painter.drawPixmap(0, HEAD, scaled.width(), scaled.height(), self._picture)
        painter.end()


class HeldOutView(QWidget):
    """Steps through the held-out frames, the worst first."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = Triptych("Held-out frame: before, after, label")
        self.pictures.setToolTip(
            "A frame that never trained: before, after, and your label. Click for a larger picture"
        )
        self.pictures.setCursor(Qt.CursorShape.PointingHandCursor)
        self.place = QLabel()
        self.place.setObjectName("notice")
        self.back, self.on = small_button("‹", "The frame before: worse"), small_button("›", "The next frame: better")
        line = QHBoxLayout()
        line.setSpacing(5)
        line.addWidget(self.place, 1)
        line.addWidget(self.back)
        line.addWidget(self.on)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(line)
        column.addWidget(self.pictures)
        self.back.clicked.connect(lambda: self._step(-1))
        self.on.clicked.connect(lambda: self._step(1))
        self.pictures.clicked.connect(self.enlarge)
        self._report: Report | None = None
        self._folder = Path()
        self.index = 0

    def show_report(self, report: Report, folder: Path) -> None:
        """Show the frames of a report, beginning with the worst; one shown already stays where it is."""
        if report is not self._report:
            self._report, self._folder, self.index = report, folder, 0
            self._show()

    def _step(self, way: int) -> None:
        if self._report is not None:
            self.index = min(max(self.index + way, 0), len(self._report.frames) - 1)
            self._show()

    def _show(self) -> None:
        report = self._report
        if report is None or not report.frames:
            return
        one, count = report.frames[self.index], len(report.frames)
        self.pictures.show_frame(self._picture(), one)
        rank = "the worst first" if self.index == 0 else f"loop {one.loop}, frame {one.frame}"
        self.place.setText(f"held-out frame {self.index + 1} of {report.heldout} · {rank}")
        self.back.setEnabled(self.index > 0)
        self.on.setEnabled(self.index < count - 1)

    def _picture(self) -> QPixmap:
        assert self._report is not None
        return QPixmap(str(self._folder / self._report.frames[self.index].file))

    def enlarge(self) -> None:
        """Open a window with the frame as large as it was drawn."""
        if self._report is None or not self._report.frames:
            return
        one = self._report.frames[self.index]
        dialog = QDialog(self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(f"Held-out frame {self.index + 1}: before, after, label")
        large = Triptych("Held-out frame, enlarged")
        large.set_ink(self.pictures.ink)
        large.show_frame(self._picture(), one)
        column = QVBoxLayout(dialog)
        column.addWidget(large, 1)
        dialog.resize(1000, 380)
        dialog.show()
