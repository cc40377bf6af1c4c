"""Section Improve: the dataset folder, fine-tuning, and what came of it."""

from __future__ import annotations

from pathlib import Path

from m2dino.training.cautions import leaning
from m2dino.training.estimate import ISOLATED
from m2dino.training.task_rows import SHOWN
from qtpy.QtCore import Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QProgressBar

from napari_m2dino.desk import Desk
from napari_m2dino.improving import LEAST_FRAMES, Improving
from napari_m2dino.loop_search import WHERE
from napari_m2dino.places import short
from napari_m2dino.promoting import Promoting
from napari_m2dino.training_run import Run
from napari_m2dino.widgets.lineage_dialog import LineageDialog
from napari_m2dino.widgets.loss_plot import LossPlot
from napari_m2dino.widgets.outcome_view import OutcomeView
from napari_m2dino.widgets.predict_section import time_left
from napari_m2dino.widgets.style import Section, Words, button, row, set_main, small_button

FORMS = {"isolated": "This task alone learns (isolated)", "shared": "What tasks share learns, too (shared)"}
"""Forms of fine-tuning, by what they are called here."""
LABELLED = "Labelled data of other tasks…"


class ImproveSection(Section):
    """Fine-tunes on the decided frames. Emits `folder_wanted(path)` for another folder, `grown` for another height."""

    folder_wanted = Signal(object)
    grown = Signal()

    def __init__(self, desk: Desk, improving: Improving, promoting: Promoting) -> None:
        super().__init__("Improve")
        self.desk = desk
        self.improving = improving
        self.promoting = promoting
        self.kept = Words()
        self.models = small_button(
            "Models…", "Every model fine-tuned here: from what, on what, how well; all ways back"
        )
        self.folder = small_button("Folder…", "Choose where accepted frames are saved")
        self.corner.addWidget(self.models)
        self.corner.addWidget(self.folder)
        self.form = QComboBox()
        for form, title in FORMS.items():
            self.form.addItem(title, form)
        self.form.setToolTip("Whether only this task learns, or also what it has in common with others")
        self.differs = Words()
        self.labelled = button(
            LABELLED, "A folder of labelled images in the FM_UIA layout: its tasks are replayed, so that they are kept"
        )
        self.where = button(
            f"{WHERE}…", "Choose a folder: the loops are looked for in it and all below it, by content, not by name"
        )
        self.train = button("Fine-tune", "Train on your frames; the model in use stays until you promote the new one")
        self.plan = Words()
        self.advice = Words()
        self.bar = QProgressBar()
        self.bar.setMinimumWidth(0)
        self.cancel = button("Cancel", "Stop training; the best state so far is kept, if there is one")
        self.plot = LossPlot()
        self.report = Words()
        self.outcome = OutcomeView(promoting)
        self.back = button("Roll back", "Use the model before again; this one stays in the list")
        for widget in (self.kept, self.train, self.form, self.differs, self.labelled, self.plan, self.advice):
            self.body.addWidget(widget)
        self.body.addLayout(row(self.bar, self.cancel, stretch=(3, 1)))
        for widget in (self.plot, self.report, self.where, self.outcome, self.back):
            self.body.addWidget(widget)
        self._dialog: LineageDialog | None = None
        self.train.clicked.connect(improving.start)
        self.form.activated.connect(lambda _index: improving.foresight.choose_form(self.form.currentData()))
        self.labelled.clicked.connect(self._ask_labelled)
        self.where.clicked.connect(self._ask_where)
        self.cancel.clicked.connect(improving.stop)
        self.back.clicked.connect(promoting.roll_back)
        self.folder.clicked.connect(self._ask_folder)
        self.models.clicked.connect(self.show_models)
        improving.changed.connect(self.refresh)
        promoting.changed.connect(self.refresh)
        desk.session_changed.connect(self.refresh)
        desk.checkpoint_changed.connect(self.refresh)
        self.refresh()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self.grown.emit()

    def set_ink(self, colour: str) -> None:
        """Draw in the colour of the theme's text."""
        self.plot.set_ink(colour)
        self.outcome.set_ink(colour)

    def refresh(self) -> None:
        """Show what is saved, what can be pressed, and how the training goes."""
        improving, run = self.improving, self.improving.run
        if run is not None and not improving.running and (self.desk.task is None or run.task_id != self.desk.task.id):
            run = None  # the last training was of another task
        running, ended = improving.running, run is not None and run.checkpoint is not None
        self.kept.say(self._kept())
        self.kept.setToolTip(str(improving.autosave.folder))
        trouble = improving.obstacle()
        count = improving.frames
        self.train.setEnabled(not trouble and not running)
        set_main(self.train, not trouble and not running and not ended)
        frames = f"{count} frame{'s' if count != 1 else ''}"
        self.train.setText(f"Fine-tune on {frames}" if count else "Fine-tune")
        # Beside an outcome there is no room for them, and no need until there are more frames.
        known = ended and run is not None and run.frames == count
        quiet = bool(trouble) or running or known
        self._show_form(count >= LEAST_FRAMES and self.desk.task is not None and not running and not known)
        self.where.setVisible(improving.pictures_lost and not running)
        self.where.setEnabled(not improving.looking)
        self.where.setText("Looking for the loops…" if improving.looking else f"{WHERE}…")
        self.plan.say("" if quiet else improving.plan)
        self.advice.say("" if quiet else improving.advice)
        self.folder.setEnabled(not running)
        for widget in (self.bar, self.cancel):
            widget.setVisible(running)
        self.cancel.setEnabled(not improving.stopping)
        self.plot.setVisible(running and run is not None and bool(run.losses or run.metric))
        self.outcome.setVisible(ended and not running)
        self._show_way_back(running)
        if run is None:
            self.report.say(trouble)
        else:
            self._show_run(run)

    def _show_form(self, shown: bool) -> None:
        found = self.improving.foresight.found
        self.form.setVisible(shown)
        self.labelled.setVisible(shown and self.improving.form == "shared")
        given = self.improving.foresight.labelled
        self.labelled.setText(f"Without the data in {short(given)}" if given else LABELLED)
        self.form.setCurrentIndex(self.form.findData(self.improving.form))
        estimate = found.estimate if shown and found is not None else None
        # Said of the isolated form without waiting for the estimate, so that the line does not come and go.
        words = (
            estimate.of_others if estimate else "" if self.improving.form == "shared" or self._leant_on() else ISOLATED
        )
        self.differs.say(words if shown else "")
        self.differs.setToolTip(f"No data here of {', '.join(estimate.unseen)}" if estimate and estimate.unseen else "")

    def _leant_on(self) -> bool:
        """Whether other tasks of the model are read together with what the task at hand outlines."""
        task, checkpoint = self.desk.task, self.desk.checkpoint
        return task is not None and checkpoint is not None and bool(leaning(checkpoint.tasks(), task))

    def _show_way_back(self, running: bool) -> None:
        before, now = self.promoting.line.before, self.promoting.line.in_use
        self.back.setVisible(before is not None and not running)
        self.back.setEnabled(not self.promoting.busy)
        if before is not None and now is not None:
            self.back.setText(f"Roll back to {before.file.stem}")

    def show_models(self) -> None:
        """Open the list of models."""
        if self._dialog is None:
            self._dialog = LineageDialog(self.promoting, self)
        self.promoting.refresh()
        self._dialog.show()
        self._dialog.raise_()

    def _kept(self) -> str:
        holdings = self.improving.reviewing.holdings
        folder = short(self.improving.autosave.folder)
        waiting = self.improving.autosave.waiting
        unsaved = f" · {waiting} not saved yet" if waiting else ""
        if holdings is None or self.desk.task is None:
            return f"Frames you accept are saved in {folder}"
        loops = f" of {holdings.loops} loops" if holdings.loops > 1 else ""
        frames = "1 frame" if holdings.training == 1 else f"{holdings.training} frames"
        return f"{frames}{loops} saved for this task{unsaved}, in {folder}"

    def _show_run(self, run: Run) -> None:
        names = [name for _, name, _ in run.metric]
        shown = SHOWN.get(names[-1], names[-1]) if names else ""
        self.plot.show_run(run.losses, [(epoch, value) for epoch, _, value in run.metric], shown)
        if self.improving.running:
            self.bar.setRange(0, run.total)
            self.bar.setValue(run.done)
            left = "" if run.eta_s is None else f" · {time_left(run.eta_s)}"
            epochs = f"{run.epochs}{left}"
            self.bar.setFormat(epochs if run.epochs else f"{run.done} / {run.total}{left}" if run.total else "")
            where = "" if self.desk.task and run.task_id == self.desk.task.id else f"{run.task_id}: "
            self.report.say("Stopping…" if self.improving.stopping else f"{where}{run.text}")
        else:
            self.report.say(self.improving.obstacle() if self.improving.pictures_lost else "")
            self.outcome.show_run(run)

    def _ask_where(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, WHERE):
            self.improving.look_in(Path(name))

    def _ask_labelled(self) -> None:
        foresight = self.improving.foresight
        if foresight.labelled:
            foresight.choose_labelled(None)
        elif name := QFileDialog.getExistingDirectory(self, "Labelled data of other tasks"):
            foresight.choose_labelled(Path(name))

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Folder for the frames you accept", str(self.improving.autosave.folder)
        )
        if name:
            self.folder_wanted.emit(Path(name))
