"""The offer, at the start, to go on where the last session was left."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

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
        set_main(self.go, True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self.words)
        layout.addLayout(row(self.go, self.leave))
        self.go.clicked.connect(resuming.resume)
        self.leave.clicked.connect(resuming.dismiss)
        resuming.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the offer, if there is one."""
        offer = self._resuming.offer
        if offer is not None:
            tasks = self._resuming.desk.tasks
            task = tasks[offer.task].title if offer.task in tasks else offer.task
            self.words.setText(f"You were at {offer.loop_name}, frame {offer.frame}: {task}.")
        self.setVisible(offer is not None)
