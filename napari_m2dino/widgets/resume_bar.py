"""The offer, at the start, to go on where the last session was left."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_m2dino.loop_search import WHERE
from napari_m2dino.resuming import Resuming
from napari_m2dino.widgets.style import Words, button, row, set_main


class ResumeBar(QWidget):
    """One sentence and two buttons; there only while there is something to go back to."""

    def __init__(self, resuming: Resuming) -> None:
        super().__init__()
        self._resuming = resuming
        self.words = Words(name="name")
        self.go = button("Go on there", "Open that loop with its task, frame, layers and queue as they were left")
        self.leave = button("Not now", "Start with something else; the labels of that loop stay saved")
        self.where = button(
            f"{WHERE}…", "Choose a folder: the loop is looked for in it and all below it, by its content, not its name"
        )
        set_main(self.go, True)
        set_main(self.where, True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self.words)
        layout.addLayout(row(self.go, self.where, self.leave))
        self.go.clicked.connect(resuming.resume)
        self.where.clicked.connect(self._ask_where)
        self.leave.clicked.connect(resuming.dismiss)
        resuming.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the offer, if there is one."""
        offer = self._resuming.offer
        if offer is not None:
            tasks = self._resuming.desk.tasks
            task = tasks[offer.task].title if offer.task in tasks else offer.task
            words = f"You were at {offer.loop_name}, frame {offer.frame}: {task}."
            if self._resuming.searching:
                words += " Looking for it…"
            elif self._resuming.moved:
                words += " The loop is not at its place any more."
            self.words.setText(words)
            self.go.setVisible(not self._resuming.moved)
            self.where.setVisible(self._resuming.moved)
            self.where.setEnabled(not self._resuming.searching)
        self.setVisible(offer is not None)

    def _ask_where(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, WHERE):
            self._resuming.look_in(Path(name))
