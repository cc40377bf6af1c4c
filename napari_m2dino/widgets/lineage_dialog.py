"""Every model that was fine-tuned on the dataset folder: from what, on what, how well, and which is in use."""

from __future__ import annotations

from m2dino.lineage import LineModel
from m2dino.lineage.report import figures
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_m2dino.promoting import Promoting
from napari_m2dino.widgets.outcome_view import despite
from napari_m2dino.widgets.style import dialog_button
from napari_m2dino.widgets.task_bars import HARM

HEADS = ("model", "state", "made (UTC)", "from", "task, form", "frames + held out", "figures")


class LineageDialog(QDialog):
    """Follows the line; each model can be promoted or kept aside, and the last promotion undone."""

    def __init__(self, promoting: Promoting, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.promoting = promoting
        self.setWindowTitle("Models of this dataset folder")
        self.table = QTableWidget(0, len(HEADS))
        self.table.setHorizontalHeaderLabels(list(HEADS))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAccessibleName("Models")
        if (header := self.table.verticalHeader()) is not None:
            header.hide()
        if (head := self.table.horizontalHeader()) is not None:
            head.setStretchLastSection(True)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        action = QDialogButtonBox.ButtonRole.ActionRole
        self.promote = dialog_button(buttons, "Promote", action)
        self.aside = dialog_button(buttons, "Keep aside", action)
        self.back = dialog_button(buttons, "Roll back", action)
        column = QVBoxLayout(self)
        column.addWidget(self.table, 1)
        column.addWidget(self.note)
        column.addWidget(buttons)
        buttons.rejected.connect(self.reject)
        self.promote.clicked.connect(self._promote)
        self.aside.clicked.connect(self._keep_aside)
        self.back.clicked.connect(promoting.roll_back)
        self.table.itemSelectionChanged.connect(self._chosen)
        promoting.changed.connect(self.refresh)
        self.resize(1120, 360)
        self.refresh()

    def refresh(self) -> None:
        """Show the line as it is now; the chosen model stays chosen."""
        chosen = self._model()
        models = self.promoting.line.models
        self.table.setRowCount(len(models))
        for line, one in enumerate(models):
            training = one.card.training if one.card else {}
            of = "1 loop" if one.loops == 1 else f"{one.loops} loops"
            data = "" if one.train is None else f"{one.train} + {one.heldout}, {of}"
            cells = (
                one.file.stem,
                one.state,
                one.made[:16].replace("T", " "),
                _stem(self.promoting, one.parent),
                ", ".join(str(training[key]) for key in ("task", "form") if training.get(key)),
                data,
                figures(one),
            )
            for place, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip("\n".join([one.id, *one.objections]))
                if one.state == "in use":
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                if one.objections and place == len(cells) - 1:
                    item.setForeground(QColor(HARM))
                self.table.setItem(line, place, item)
        self.table.resizeColumnsToContents()
        if chosen is not None:
            for line, one in enumerate(models):
                if one.id == chosen.id:
                    self.table.selectRow(line)
        self._chosen()

    def _model(self) -> LineModel | None:
        models, rows = self.promoting.line.models, self.table.selectionModel()
        chosen = [index.row() for index in rows.selectedRows()] if rows is not None else []
        return models[chosen[0]] if chosen and chosen[0] < len(models) else None

    def _chosen(self) -> None:
        one, free = self._model(), not self.promoting.busy
        usable = free and one is not None and one.card is not None and one.state not in ("in use", "base")
        self.promote.setEnabled(usable)
        self.promote.setText("Promote despite harm…" if one is not None and one.objections else "Promote")
        self.aside.setEnabled(usable and one is not None and one.state != "kept aside")
        before = self.promoting.line.before
        self.back.setEnabled(free and before is not None)
        self.back.setText(f"Roll back to {before.file.stem}" if before else "Roll back")
        said = "" if one is None else " ".join(one.accepted or one.objections)
        known = "Accepted when it was promoted: " if one is not None and one.accepted else "Against it: "
        nothing = "" if self.promoting.line.models else "No model was fine-tuned on this folder yet."
        self.note.setText(f"{known}{said}" if said else nothing)

    def _promote(self) -> None:
        one = self._model()
        if one is not None and (not one.objections or despite(self, one.objections)):
            self.promoting.promote(one.file, despite_harm=bool(one.objections))

    def _keep_aside(self) -> None:
        if (one := self._model()) is not None:
            self.promoting.keep_aside(one.file)


def _stem(promoting: Promoting, model_id: str) -> str:
    found = promoting.line.get(model_id) if model_id else None
    return found.file.stem if found else model_id
