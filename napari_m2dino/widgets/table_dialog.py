"""The table of all figures: one line a frame, one column a figure; saved as CSV with one line a figure."""

from __future__ import annotations

from pathlib import Path

from m2dino.measure import Measurement
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_m2dino.desk import Desk
from napari_m2dino.figure_words import figure, in_words
from napari_m2dino.measuring import Measuring
from napari_m2dino.widgets.style import dialog_button


class TableDialog(QDialog):
    """Follows what is measured; a click on a line goes to its frame."""

    def __init__(self, desk: Desk, measuring: Measuring, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.desk = desk
        self.measuring = measuring
        self.setWindowTitle("Measurements")
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setAccessibleName("Measurements by frame")
        self.whole = QLabel()
        self.whole.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.save = dialog_button(buttons, "Save as CSV…", QDialogButtonBox.ButtonRole.ActionRole)
        column = QVBoxLayout(self)
        column.addWidget(self.table, 1)
        column.addWidget(self.whole)
        column.addWidget(buttons)
        buttons.rejected.connect(self.reject)
        self.save.clicked.connect(self._ask_path)
        self.table.cellClicked.connect(self._go)
        measuring.changed.connect(self.refresh)
        self.resize(720, 420)
        self.refresh()

    def refresh(self) -> None:
        """Show the newest figures."""
        figures = self.measuring.figures
        names = figures.names() if figures else []
        frames = sorted(figures.each) if figures else []
        self.table.setUpdatesEnabled(False)
        self.table.setColumnCount(len(names))
        self.table.setRowCount(len(frames))
        self.table.setHorizontalHeaderLabels(names)
        self.table.setVerticalHeaderLabels([str(frame) for frame in frames])
        for line, frame in enumerate(frames):
            here = {one.name: one for one in figures.each[frame]} if figures else {}
            for place, name in enumerate(names):
                self.table.setItem(line, place, _cell(here.get(name)))
        self.table.resizeColumnsToContents()
        self.table.setUpdatesEnabled(True)
        whole = figures.whole if figures else ()
        words = "  ·  ".join(f"{in_words(one)} ({one.reason or one.inputs})" for one in whole)
        self.whole.setText(words if frames else "Nothing to measure yet: predict or draw first.")
        self.whole.setVisible(bool(words) or not frames)
        self.save.setEnabled(bool(frames))

    def _go(self, line: int, _column: int) -> None:
        header = self.table.verticalHeaderItem(line)
        if header is not None:
            self.desk.go_to(int(header.text()))

    def _ask_path(self) -> None:
        figures = self.measuring.figures
        if figures is None:
            return
        suggested = str(Path.home() / f"measurements_{figures.task.id}.csv")
        name, _ = QFileDialog.getSaveFileName(self, "Save measurements", suggested, "CSV (*.csv)")
        if name:
            path = Path(name)
            self.measuring.write_csv(path if path.suffix else path.with_suffix(".csv"))


def _cell(one: Measurement | None) -> QTableWidgetItem:
    if one is None:
        return QTableWidgetItem("")
    item = QTableWidgetItem("–" if one.value is None else figure(one.value, one.unit))
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip("; ".join(part for part in (one.reason, one.inputs, one.remark) if part))
    return item
