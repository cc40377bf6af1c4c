"""The dialog that asks which axis of a volume or an array is time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import (
    QButtonGroup,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_m2dino.opening.finding import Choices, Picture, look, thumbnail
from napari_m2dino.widgets.thumbnails import SIZE, LookingThread, icon


class AxisDialog(QDialog):
    """One radio button an axis, with the frame that would lie in the middle. Nothing is chosen beforehand.

    Parameters
    ----------
    paths : sequence of Path
        Files of one shape, which the answer is for.
    choices : dict
        See `m2dino.errors.AmbiguousLoopError`.
    parent : QWidget, optional
    """

    def __init__(self, paths: Sequence[Path], choices: Choices, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("m2dino_axis")
        self.setWindowTitle("Which axis is time?")
        self.axes = list(choices)
        more = len(paths) - 1
        who = paths[0].name + (f" and {more} more of its shape do" if more else " does")
        self.question = QLabel(f"{who} not say which axis is time. Choose the one along which the frames follow.")
        self.question.setWordWrap(True)
        self.question.setMinimumWidth(380)
        self.group = QButtonGroup(self)
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addWidget(self.question)
        for row, (axis, (frames, height, width)) in enumerate(choices.items()):
            button = QRadioButton(f"Axis {axis}: {frames} frames of {width} × {height} pixels")
            button.setIcon(icon())
            button.setIconSize(SIZE)
            self.group.addButton(button, row)
            layout.addWidget(button)
        layout.addStretch(1)
        self.buttons = QDialogButtonBox()
        self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.open_button = QPushButton("Open")
        self.open_button.setEnabled(False)
        self.buttons.addButton(self.open_button, QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout.addWidget(self.buttons)
        self.group.buttonClicked.connect(lambda _button: self.open_button.setEnabled(True))
        self._thread = LookingThread(self)
        self._thread.found.connect(self._take)
        path = paths[0]
        self._thread.each(lambda axis: _middle(path, axis), enumerate(self.axes))
        self.finished.connect(self._thread.stop)

    def axis(self) -> str | None:
        """Return the axis chosen."""
        chosen = self.group.checkedId()
        return self.axes[chosen] if chosen >= 0 else None

    def _take(self, row: int, picture: Picture | None) -> None:
        button = self.group.button(row)
        if button is not None:
            button.setIcon(icon(picture))


def _middle(path: Path, axis: str) -> Picture | None:
    loop = look(path, axis).loop
    return thumbnail(loop) if loop is not None else None
