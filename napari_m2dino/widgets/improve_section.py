"""Section Improve: the dataset folder, fine-tuning, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from m2dino.network.card import HEADLINE
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QProgressBar

from napari_m2dino.desk import Desk
from napari_m2dino.improving import Improving, Run
from napari_m2dino.places import short
from napari_m2dino.widgets.loss_plot import LossPlot
from napari_m2dino.widgets.predict_section import time_left
from napari_m2dino.widgets.style import Section, Words, button, row, set_main, small_button

SHOWN = {"DSC": "Dice", "Accuracy": "accuracy", "IoU": "IoU", "MRE": "point error (px)"}


class ImproveSection(Section):
    """Fine-tunes on the decided frames. Emits `folder_wanted(path)` for another dataset folder."""

    folder_wanted = Signal(object)

    def __init__(self, desk: Desk, improving: Improving) -> None:
        super().__init__("Improve")
        self.desk = desk
        self.improving = improving
        self.kept = Words()
        self.folder = small_button("Folder…", "Choose where accepted frames are saved")
        self.corner.addWidget(self.folder)
        self.train = button("Fine-tune", "Train the model in use on your frames; the old model is kept")
        self.bar = QProgressBar()
        self.bar.setMinimumWidth(0)
        self.cancel = button("Cancel", "Stop training; the best state so far is kept, if there is one")
        self.plot = LossPlot()
        self.report = Words()
        self.back = button("Go back to the model before", "Use the model that this training started from again")
        self.body.addWidget(self.kept)
        self.body.addWidget(self.train)
        self.body.addLayout(row(self.bar, self.cancel, stretch=(3, 1)))
        self.body.addWidget(self.plot)
        self.body.addWidget(self.report)
        self.body.addWidget(self.back)
        self.train.clicked.connect(improving.start)
        self.cancel.clicked.connect(improving.stop)
        self.back.clicked.connect(improving.go_back)
        self.folder.clicked.connect(self._ask_folder)
        improving.changed.connect(self.refresh)
        desk.session_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is saved, what can be pressed, and how the training goes."""
        improving, run = self.improving, self.improving.run
        if run is not None and not improving.running and (self.desk.task is None or run.task_id != self.desk.task.id):
            run = None  # the last training was of another task
        self.kept.say(self._kept())
        self.kept.setToolTip(str(improving.autosave.folder))
        trouble = improving.obstacle()
        count = improving.frames
        self.train.setEnabled(not trouble and not improving.running)
        set_main(self.train, not trouble and not improving.running and not (run and run.after))
        frames = f"{count} frame{'s' if count != 1 else ''}"
        self.train.setText(f"Fine-tune on {frames}" if count else "Fine-tune")
        self.folder.setEnabled(not improving.running)
        for widget in (self.bar, self.cancel):
            widget.setVisible(improving.running)
        self.cancel.setEnabled(not improving.stopping)
        self.plot.setVisible(run is not None and bool(run.losses or run.metric))
        self.back.setVisible(run is not None and bool(run.after) and self._uses_new())
        if run is None:
            self.report.say(trouble)
            return
        self._show_run(run)

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

    def _uses_new(self) -> bool:
        run, checkpoint = self.improving.run, self.desk.checkpoint
        return run is not None and checkpoint is not None and checkpoint.path != run.base

    def _show_run(self, run: Run) -> None:
        names = [name for _, name, _ in run.metric]
        shown = SHOWN.get(names[-1], names[-1]) if names else ""
        self.plot.show_run(run.losses, [(epoch, value) for epoch, _, value in run.metric], shown)
        if self.improving.running:
            self.bar.setRange(0, run.total)
            self.bar.setValue(run.done)
            left = "" if run.eta_s is None else f" · {time_left(run.eta_s)}"
            self.bar.setFormat(f"{run.done} / {run.total}{left}" if run.total else "")
            where = "" if self.desk.task and run.task_id == self.desk.task.id else f"{run.task_id}: "
            self.report.say("Stopping…" if self.improving.stopping else f"{where}{run.text}")
        else:
            self.report.say(outcome(run))

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Folder for the frames you accept", str(self.improving.autosave.folder)
        )
        if name:
            self.folder_wanted.emit(Path(name))


def outcome(run: Run) -> str:
    """Return before and after in words: the task trained, and what became of all others."""
    head = f"Trained in {run.seconds:.0f} s" + (" (stopped early)" if run.stopped else "")
    lines, same, worse = [head], 0, []
    for task, metrics in run.after.items():
        name = next((one for one in HEADLINE.values() if one in metrics), None)
        if name is None:
            continue
        before, after = _number(run.before.get(task, {}).get(name)), _number(metrics[name])
        if task == run.task_id:
            was = "not known" if before is None else f"{before:.2f}"
            lines.append(f"{SHOWN[name]} on held-out frames: {was} → {after:.2f}")
        elif before is None or after is None or abs(before - after) < 0.005:
            same += 1
        else:
            worse.append(f"{task}: {before:.2f} → {after:.2f}")
    if worse:
        lines.append("Other tasks changed: " + "; ".join(worse))
    elif same:
        lines.append(f"{same} other tasks: unchanged")
    elif len(run.after) == 1:
        lines.append("Other tasks: unchanged, for only this one learned")
    return "\n".join(lines)


def _number(metric: Any) -> float | None:
    value = metric.get("value") if isinstance(metric, dict) else metric
    return float(value) if value is not None else None
