"""What came of a fine-tuning: figures, pictures, experts, and what is to become of the new model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2dino.training.comparison_report import own_in_words
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QVBoxLayout, QWidget

from napari_m2dino.promoting import Promoting
from napari_m2dino.training_run import Run, outcome
from napari_m2dino.widgets.held_out_view import HeldOutView
from napari_m2dino.widgets.style import Words, button, row, set_main
from napari_m2dino.widgets.task_bars import TaskBars
from napari_m2dino.widgets.usage_plot import UsagePlot


class OutcomeView(QWidget):
    """Shows a finished run; the buttons act on its model."""

    def __init__(self, promoting: Promoting) -> None:
        super().__init__()
        self.promoting = promoting
        self.words = Words()
        self.harm = Words(name="harm")
        self.cautions = Words()
        self.bars = TaskBars()
        self.frames = HeldOutView()
        self.usage = UsagePlot()
        self.own = Words()
        self.promote = button("Promote", "Use the new model from now on, on the loop on screen too")
        self.aside = button("Keep aside", "Keep the new model in the list without using it")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for widget in (self.words, self.bars, self.harm, self.cautions, self.frames, self.usage, self.own):
            column.addWidget(widget)
        column.addLayout(row(self.promote, self.aside))
        self._file: Path | None = None
        self.promote.clicked.connect(self._promote)
        self.aside.clicked.connect(self._keep_aside)

    def set_ink(self, colour: str) -> None:
        """Draw in the colour of the theme's text."""
        for plot in (self.bars, self.frames.pictures, self.usage):
            plot.set_ink(colour)

    def show_run(self, run: Run) -> None:
        """Show a finished run."""
        self._file = run.checkpoint
        self.words.say(outcome(run))
        self.bars.setVisible(bool(run.rows))
        self.bars.show_rows(run.rows)
        report = run.report
        self.frames.setVisible(report is not None and bool(report.frames))
        self.usage.setVisible(report is not None and bool(report.experts_after.gates))
        self.own.say(own_in_words(report.experts_after.own) if report is not None else "")
        if report is not None and run.report_folder is not None:
            self.frames.show_report(report, run.report_folder)
            self.usage.show_usage(report.experts_before, report.experts_after)
        model = self.promoting.model_at(run.checkpoint)
        state = model.state if model else "undecided"
        against = model.objections if model else tuple(run.warnings)
        _say(self.harm, against)
        _say(self.cautions, run.cautions)
        ready = model is not None and not self.promoting.busy
        self.promote.setText("In use" if state == "in use" else "Promote despite harm…" if against else "Promote")
        self.promote.setEnabled(ready and state != "in use")
        set_main(self.promote, ready and state == "undecided" and not against)
        self.aside.setText("Kept aside" if state == "kept aside" else "Keep aside")
        self.aside.setEnabled(ready and state not in ("in use", "kept aside"))

    def _promote(self) -> None:
        model = self.promoting.model_at(self._file)
        if model is None:
            return
        if not model.objections:
            self.promoting.promote(model.file)
        elif despite(self, model.objections):
            self.promoting.promote(model.file, despite_harm=True)

    def _keep_aside(self) -> None:
        if self._file is not None:
            self.promoting.keep_aside(self._file)


MOST_WORDS = 300


def despite(parent: QWidget, said: tuple[str, ...]) -> bool:
    """Ask whether a model is to be used though the guard speaks against it; doing nothing is the easy answer."""
    box = QMessageBox(parent)
    box.setWindowTitle("Use this model despite harm?")
    box.setIcon(QMessageBox.Icon.Warning)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText("The guard speaks against this model:\n\n" + "\n\n".join(said))
    box.setInformativeText("If you use it all the same, its model card will say so for good.")
    yes = box.addButton("Use it despite harm", QMessageBox.ButtonRole.DestructiveRole)
    no = box.addButton("Do not use it", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(no)
    box.setEscapeButton(no)
    box.exec()
    return box.clickedButton() is yes


def _say(words: Words, sentences: Sequence[str]) -> None:
    """Show sentences, cut off where they are many; the tooltip has them all."""
    text = " ".join(sentences)
    words.say(text if len(text) < MOST_WORDS else f"{text[:MOST_WORDS]}…")
    words.setToolTip("\n".join(sentences))
