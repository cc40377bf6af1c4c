"""The dialog that asks which of several loops to open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_m2dino.opening.finding import Look, Picture, facts, look, thumbnail
from napari_m2dino.widgets.thumbnails import SIZE, LookingThread, icon

MOST_TICKED = 12
"""Of more loops than these, none is ticked at first: nobody wants hundreds by pressing Enter."""


class LoopChooser(QDialog):
    """A list of loops, each with its middle frame and its facts, that fills while it is shown.

    Parameters
    ----------
    several : mapping of Path to sequence of Path
        Folders or tables of contents, and the loops of each.
    parent : QWidget, optional

    Attributes
    ----------
    looks : dict of Path to Look
        The loops looked at so far, written by the thread that looks. Those that are not chosen need no closing, for a
        loop that is only looked at holds no file open.
    """

    def __init__(self, several: Mapping[Path, Sequence[Path]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("m2dino_loops")
        self.setWindowTitle("Several loops")
        self._labels = _labels(several)
        self.paths = list(self._labels)
        self.looks: dict[Path, Look] = {}
        where = next(iter(several)).name if len(several) == 1 else "What you opened"
        self.question = QLabel(f"{where} holds {len(self.paths)} loops. Tick those to open.")
        self.question.setWordWrap(True)
        self.count = QLabel()
        self.all = QPushButton("All")
        self.none = QPushButton("None")
        self.list = QListWidget()
        self._lay_out()
        self._fill()
        self.all.clicked.connect(lambda: self._tick(True))
        self.none.clicked.connect(lambda: self._tick(False))
        self.list.itemChanged.connect(self._counted)
        self.list.itemPressed.connect(self._pressed)
        self.list.itemClicked.connect(self._clicked)
        self._before = Qt.CheckState.Unchecked
        self._counted()
        self._thread = LookingThread(self)
        self._thread.found.connect(self._take)
        # All headers first, so that the facts do not wait for pictures.
        self._thread.each(self._look, enumerate(self.paths))
        self._thread.each(self._picture, enumerate(self.paths))
        self.finished.connect(self._thread.stop)

    def chosen(self) -> list[Path]:
        """Return the ticked loops, in the order of the list."""
        ticked = Qt.CheckState.Checked
        return [path for row, path in enumerate(self.paths) if self._item(row).checkState() == ticked]

    # -- parts -------------------------------------------------------------------------------------------------------
    def _lay_out(self) -> None:
        self.list.setIconSize(SIZE)
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(1)
        self.list.setWordWrap(False)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        head = QHBoxLayout()
        for one in (self.all, self.none):
            one.setAutoDefault(False)
            head.addWidget(one)
        head.addStretch(1)
        head.addWidget(self.count)
        self.buttons = QDialogButtonBox()
        cancel = self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.open_button = QPushButton("Open")
        self.buttons.addButton(self.open_button, QDialogButtonBox.ButtonRole.AcceptRole)
        self.open_button.setDefault(True)
        # Its text grows with the number of loops.
        self.open_button.setMinimumWidth(self.fontMetrics().horizontalAdvance("Open 999 loops") + 32)
        if cancel is not None:
            cancel.setAutoDefault(False)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addWidget(self.question)
        layout.addLayout(head)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.buttons)
        rows = min(max(len(self.paths), 2), 6)
        self.resize(460, 150 + rows * (SIZE.height() + 6))

    def _fill(self) -> None:
        blank = icon()
        tick = Qt.CheckState.Checked if len(self.paths) <= MOST_TICKED else Qt.CheckState.Unchecked
        for path in self.paths:
            item = QListWidgetItem(blank, f"{self._labels[path]}\n…")
            item.setCheckState(tick)
            self.list.addItem(item)

    def _item(self, row: int) -> QListWidgetItem:
        item = self.list.item(row)
        assert item is not None
        return item

    # -- what is found -----------------------------------------------------------------------------------------------
    def _look(self, path: Path) -> Look:
        """Look at a loop; in the thread."""
        found = self.looks[path] = look(path)
        return found

    def _picture(self, path: Path) -> Picture | None:
        """Make the thumbnail of a loop looked at before; in the thread."""
        loop = self.looks[path].loop
        return thumbnail(loop) if loop is not None else None

    def _take(self, row: int, found: object) -> None:
        item = self._item(row)
        if isinstance(found, Look):
            self._take_look(item, found)
        elif isinstance(found, np.ndarray):
            item.setIcon(icon(found))

    def _take_look(self, item: QListWidgetItem, found: Look) -> None:
        if found.loop is not None:
            says = f"{facts(found.loop)}\n{found.loop.name}"
        elif found.choices is not None:
            says = "which of its axes is time is asked next"
        else:
            says = "holds no images" if found.no_images else "cannot be opened"
            item.setCheckState(Qt.CheckState.Unchecked)
            item.setFlags(Qt.ItemFlag.NoItemFlags)
            item.setToolTip(found.problem)
        item.setText(f"{self._labels[found.path]}\n{says}")

    # -- ticks -------------------------------------------------------------------------------------------------------
    def _tick(self, tick: bool) -> None:
        for row in range(len(self.paths)):
            item = self._item(row)
            if item.flags() & Qt.ItemFlag.ItemIsEnabled:
                item.setCheckState(Qt.CheckState.Checked if tick else Qt.CheckState.Unchecked)

    def _pressed(self, item: QListWidgetItem) -> None:
        self._before = item.checkState()

    def _clicked(self, item: QListWidgetItem) -> None:
        """Let a click anywhere on a row tick it; one on the box itself has done so already."""
        if item.checkState() == self._before:
            ticked = self._before == Qt.CheckState.Checked
            item.setCheckState(Qt.CheckState.Unchecked if ticked else Qt.CheckState.Checked)

    def _counted(self, _item: object = None) -> None:
        chosen = len(self.chosen())
        self.count.setText(f"{chosen} of {len(self.paths)}")
        self.open_button.setText("Open" if not chosen else "Open 1 loop" if chosen == 1 else f"Open {chosen} loops")
        self.open_button.setEnabled(chosen > 0)


def _labels(several: Mapping[Path, Sequence[Path]]) -> dict[Path, str]:
    """Return every loop once, with the name that tells it from the others: its place below what was opened."""
    labels: dict[Path, str] = {}
    for container, inside in several.items():
        folder = container if container in inside or container.is_dir() else container.parent
        for path in inside:
            below = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
            name = f"the pictures in {folder.name}" if path == folder else below.as_posix()
            labels.setdefault(path, name if len(several) == 1 or path == folder else f"{folder.name}/{name}")
    return labels
