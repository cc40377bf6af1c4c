"""The classes of a mask, or the points of a frame, by name and colour; a click picks the class to paint with."""

from __future__ import annotations

from collections.abc import Callable

from m2dino.errors import UsageError
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QGridLayout, QPushButton, QSizePolicy, QWidget

from napari_m2dino.desk import Desk
from napari_m2dino.result_layers import ResultLayer
from napari_m2dino.result_layers.colours import colour
from napari_m2dino.result_layers.points import KeypointLayer


class LabelChips(QWidget):
    """One small button a label; for boxes and classifications there is nothing to pick."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.chips: list[QPushButton] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)

    def refresh(self) -> None:
        """Show the labels of the task on the desk."""
        for chip in self.chips:
            self._grid.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        self.chips = []
        task = self.desk.task
        if task is None or task.type not in ("segmentation", "regression"):
            self.setVisible(False)
            return
        first = 1 if task.type == "segmentation" else 0
        for place, label in enumerate(task.labels[first:]):
            chip = QPushButton(_swatch(colour(place + 1)), label.name)
            chip.setObjectName("chip")
            chip.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            chip.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            sure = f" (meaning {label.certainty})" if label.certainty in ("inferred", "unknown") else ""
            action = "paint with it" if first else "select it, place it next, or bring it back"
            chip.setToolTip(f"{label.meaning or label.name}{sure}: click to {action}")
            chip.clicked.connect(self._picker(place + first))
            self._grid.addWidget(chip, place // 2, place % 2)
            self.chips.append(chip)
        self.setVisible(True)

    def _picker(self, index: int) -> Callable[[], None]:
        return lambda: self.pick(index)

    def pick(self, index: int) -> None:
        """Paint with class `index`, or place point `index` next."""
        task, result = self.desk.task, self.desk.result
        layer = result.layer if result else None
        if task is None or layer is None or layer not in self.desk.viewer.layers:
            self.desk.tell("Predict this frame, or press New label, to have a layer to draw on.")
            return
        self.desk.viewer.layers.selection.active = layer
        if task.type == "segmentation":
            layer.selected_label = index
            layer.mode = "paint"
        else:
            self._pick_point(result, task.label_names[index])

    def _pick_point(self, result: ResultLayer | None, name: str) -> None:
        """Select a point that is placed, bring back one that is hidden, or place a missing one next."""
        if not isinstance(result, KeypointLayer) or result.layer is None or not self.desk.frame_is_seen():
            return
        frame = self.desk.frame
        if name in result.placed(frame):
            result.layer.mode = "select"
            result.select(frame, name)
            return
        try:
            back = name in result.hidden(frame) and result.set_hidden(frame, name, False)
        except UsageError as error:
            self.desk.tell(str(error), "warning")
            return
        if not back:
            result.place_next(name)
            result.layer.mode = "add"
            self.desk.tell(f"Click where {name} is.")

    def mark(self) -> None:
        """Show which points of the frame are placed, and which are said to be not visible."""
        result, frame = self.desk.result, self.desk.frame
        if not isinstance(result, KeypointLayer):
            return
        placed, hidden = result.placed(frame), result.hidden(frame)
        for chip, name in zip(self.chips, result.task.label_names, strict=False):
            chip.setText(f"{name} ✓" if name in placed else f"{name} ✗" if name in hidden else name)


def _swatch(name: str) -> QIcon:
    picture = QPixmap(12, 12)
    picture.fill(QColor(name))
    return QIcon(picture)
