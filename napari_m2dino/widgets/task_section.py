"""Section Task: what to look for, and the model that looks."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QSizePolicy

from napari_m2dino.desk import Desk
from napari_m2dino.predicting import Predicting
from napari_m2dino.task_groups import grouped, in_words
from napari_m2dino.widgets.style import Section, Words, small_button
from napari_m2dino.widgets.task_picker import TaskPicker


class TaskSection(Section):
    """Task picker and model chooser. Emits `checkpoint_wanted(path)` for a checkpoint file to add."""

    checkpoint_wanted = Signal(object)

    def __init__(self, desk: Desk, predicting: Predicting) -> None:
        super().__init__("Task and model")
        self.desk = desk
        self.predicting = predicting
        self.picker = TaskPicker()
        self.about = Words()
        self.model = QComboBox()
        self.model.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.model.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.model.setToolTip("The model in use; those you fine-tune are added here")
        self.other = small_button("Model…", "Open another checkpoint file")
        self.corner.addWidget(self.other)
        self.about_model = Words()
        self.body.addWidget(self.picker)
        self.body.addWidget(self.about)
        self.body.addWidget(self.model)
        self.body.addWidget(self.about_model)
        self.picker.picked.connect(desk.choose_task)
        self.model.activated.connect(self._choose_model)
        self.other.clicked.connect(self._ask_checkpoint)
        desk.session_changed.connect(self.refresh)
        desk.tasks_changed.connect(self.refresh)
        desk.checkpoint_changed.connect(self.refresh)
        predicting.changed.connect(self._refresh_model)
        self.refresh()

    def refresh(self) -> None:
        """Show the tasks, the models, and which are chosen."""
        desk = self.desk
        self.picker.set_groups(grouped(desk.tasks, desk.checkpoint))
        self.picker.show_task(desk.task)
        if desk.task is None:
            self.about.say("")
        else:
            report = desk.checkpoint.report(desk.task) if desk.checkpoint else None
            known = f"{report.headline()} · {report.n_train} images" if report else "this model was not trained on it"
            self.about.say(f"{in_words(desk.task)}\n{known}")
        self.model.blockSignals(True)
        self.model.clear()
        for checkpoint in desk.checkpoints:
            self.model.addItem(checkpoint.title)
        if desk.checkpoint in desk.checkpoints:
            self.model.setCurrentIndex(desk.checkpoints.index(desk.checkpoint))
        self.model.setEnabled(bool(desk.checkpoints))
        self.model.blockSignals(False)
        self._refresh_model()

    def _refresh_model(self) -> None:
        checkpoint = self.desk.checkpoint
        if checkpoint is None:
            self.about_model.say("no model found" if self.desk.looked else "looking for models…")
            return
        device = self.predicting.device or "loading…"
        self.about_model.say(f"{device} · {len(checkpoint.card.tasks)} tasks")
        card = checkpoint.card
        self.model.setToolTip(
            f"{card.id}\n{card.notice}\nLicence: {card.licence or 'not stated'}\n"
            f"Fine-tuned from: {card.parent_id or 'nothing'}"
        )

    def _choose_model(self, index: int) -> None:
        self.desk.by_hand = True
        self.desk.choose_checkpoint(self.desk.checkpoints[index])

    def _ask_checkpoint(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a checkpoint", "", "M2DINO checkpoints (*.safetensors)")
        if name:
            self.checkpoint_wanted.emit(Path(name))
