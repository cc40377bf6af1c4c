"""The few fields that appear in the section Loop while a scale is being set by hand."""

from __future__ import annotations

import math

from m2dino.cine.calibration import Calibration
from m2dino.errors import UsageError
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QComboBox, QLineEdit, QMessageBox, QSizePolicy, QVBoxLayout, QWidget

from napari_m2dino.calibrating import UNITS, Calibrating
from napari_m2dino.loop_facts import millimetres_words
from napari_m2dino.widgets.style import Words, button, row, set_main

WHAT_TO_DO = (
    "Draw a line along the depth scale, then type its length. "
    "Pixels are taken as square unless the file says otherwise."
)


class CalibrationForm(QWidget):
    """Length, unit, Apply and Cancel; seen only while `calibrating` is active."""

    def __init__(self, calibrating: Calibrating) -> None:
        super().__init__()
        self.calibrating = calibrating
        self.found = Words()
        self.length = QLineEdit()
        self.length.setPlaceholderText("length")
        self.length.setAccessibleName("Length of the line")
        self.length.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.unit = QComboBox()
        self.unit.addItems(list(UNITS))
        self.unit.setAccessibleName("Unit of the length")
        self.use = button("Apply", "Use this scale for the loop, and remember it", "Enter")
        self.cancel = button("Cancel", "Leave the scale as it was", "Esc")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addWidget(Words(WHAT_TO_DO))
        column.addLayout(row(self.length, self.unit, self.use, self.cancel, stretch=(3, 2, 3, 3)))
        column.addWidget(self.found)
        self.length.textChanged.connect(self.refresh)
        self.unit.currentTextChanged.connect(self.refresh)
        self.length.returnPressed.connect(self.apply)
        self.use.clicked.connect(self.apply)
        self.cancel.clicked.connect(calibrating.cancel)
        calibrating.changed.connect(self.refresh)
        calibrating.drawn.connect(self.length.setFocus)
        self.setVisible(False)

    def refresh(self) -> None:
        """Show the line found so far, and the scale that it gives."""
        active = self.calibrating.active
        if active and not self.isVisibleTo(self.parentWidget()):
            self.length.clear()
        self.setVisible(active)
        if not active:
            return
        try:
            start, end = self.calibrating.line()
        except UsageError:
            self.found.say("No line yet.")
            set_main(self.use, False)
            return
        told = f"The line is {math.dist(start, end):.0f} px long"
        scale = self._scale(tell=False)
        self.found.say(f"{told}: {millimetres_words(scale.dy_mm, scale.dx_mm)}." if scale else f"{told}.")
        set_main(self.use, scale is not None)

    def apply(self) -> None:
        """Use the scale, after asking where the file has one of its own."""
        scale = self._scale(tell=True)
        if scale is not None and self._is_sure(scale):
            self.calibrating.apply(scale)

    def _scale(self, tell: bool) -> Calibration | None:
        try:
            return self.calibrating.proposed(self.length.text(), self.unit.currentText())
        except UsageError as error:
            if tell:
                self.calibrating.desk.tell(str(error), "warning")
            return None

    def _is_sure(self, scale: Calibration) -> bool:
        assert self.calibrating.loop is not None
        own, _ = self.calibrating.loop.own_scale
        if own is None:
            return True
        question = QMessageBox(self)
        question.setWindowTitle("Replace the scale of the file?")
        question.setText(
            f"The file itself says {millimetres_words(own.dy_mm, own.dx_mm)}.\n"
            f"Your line gives {millimetres_words(scale.dy_mm, scale.dx_mm)}."
        )
        question.setInformativeText("Use yours for this loop from now on?")
        mine = question.addButton("Use mine", QMessageBox.ButtonRole.AcceptRole)
        keep = question.addButton("Keep the file's", QMessageBox.ButtonRole.RejectRole)
        question.setDefaultButton(keep)
        question.exec()
        answer = question.clickedButton()
        question.deleteLater()
        return answer is mine

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.calibrating.cancel()
            return
        super().keyPressEvent(event)
