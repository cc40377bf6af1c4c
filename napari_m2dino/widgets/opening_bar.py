"""How far the opening of several loops is, and the button that ends it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_m2dino.opening.controller import Opening
from napari_m2dino.widgets.style import row, small_button


class OpeningBar(QWidget):
    """A bar with words such as "Opening 3 of 30", and Stop; there only while something is being opened."""

    def __init__(self, opening: Opening, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setMinimumWidth(180)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stop = small_button("Stop", "Open no more; what is open already stays")
        layout = row(self.bar, self.stop, stretch=(1, 0))
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        self.stop.clicked.connect(opening.stop)
        opening.progressed.connect(self.show_progress)
        self.hide()

    def show_progress(self, words: str, done: int, total: int) -> None:
        """Show how far it is; hide where `total` is 0."""
        self.setVisible(total > 0)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.setFormat(words)
