"""The task picker: a button that opens a searchable list, trained tasks first."""

from __future__ import annotations

from collections.abc import Sequence

from m2dino.tasks import Task
from qtpy.QtCore import QEvent, QObject, QPoint, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_m2dino.task_groups import TYPE_WORDS, Entry

_ROLE = Qt.ItemDataRole.UserRole


class TaskPicker(QPushButton):
    """Shows the chosen task; a click opens the list. Emits `picked(Task)`."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__("Choose a task…")
        self.setObjectName("picker")
        self.setToolTip("What to look for: type to search by name, organ or type")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.popup = TaskPopup(self)
        self.popup.picked.connect(self._picked)
        self.clicked.connect(self.open)

    def set_groups(self, groups: Sequence[tuple[str, list[Entry]]]) -> None:
        """Offer these tasks."""
        self.popup.set_groups(groups)

    def show_task(self, task: Task | None) -> None:
        """Show which task is chosen."""
        self.setText(f"{task.title}   ▾" if task else "Choose a task…   ▾")

    def open(self) -> None:
        """Open the list below the button."""
        self.popup.open_at(self.mapToGlobal(QPoint(0, self.height())), self.width())

    def _picked(self, task: Task) -> None:
        self.show_task(task)
        self.picked.emit(task)


class TaskPopup(QFrame):
    """The list itself: a search line over a tree of headings and tasks. Emits `picked(Task)`."""

    picked = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search: carotid, box, fetal …")
        self.search.setClearButtonEnabled(True)
        self.tree = QTreeWidget()
        self.tree.setColumnCount(2)
        self.tree.setHeaderHidden(True)
        self.tree.setRootIsDecorated(False)
        self.tree.setIndentation(10)
        self.tree.setUniformRowHeights(True)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.tree.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.search)
        layout.addWidget(self.tree)
        self.search.textChanged.connect(self.filter)
        self.search.installEventFilter(self)
        self.tree.itemClicked.connect(self._take)
        self.tree.itemActivated.connect(self._take)

    def set_groups(self, groups: Sequence[tuple[str, list[Entry]]]) -> None:
        """List these tasks under their headings."""
        self.tree.clear()
        for heading, entries in groups:
            top = QTreeWidgetItem(self.tree, [heading])
            top.setFlags(Qt.ItemFlag.ItemIsEnabled)
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            top.setFirstColumnSpanned(True)
            for entry in entries:
                item = QTreeWidgetItem(top, [entry.task.title, entry.figure.split(" (")[0] or entry.task.organ])
                item.setData(0, _ROLE, entry)
                note = entry.figure or "not trained: label a few frames and fine-tune"
                item.setToolTip(0, f"{entry.task.id} · {TYPE_WORDS[entry.task.type]} · {entry.task.organ}\n{note}")
                if entry.trained:
                    item.setForeground(1, QBrush(QColor("#3fb56b")))
                else:
                    item.setForeground(1, QBrush(QColor("#8a8f98")))
        self.tree.expandAll()
        self.filter(self.search.text())

    def open_at(self, corner: QPoint, width: int) -> None:
        """Open with the upper left corner at `corner`, in screen pixels."""
        self.search.clear()
        # Wider than the dock, to the left over the image: titles are long.
        wide = max(width, 460)
        self.resize(wide, 440)
        self.move(corner.x() + width - wide, corner.y())
        self.show()
        self.search.setFocus()

    def filter(self, words: str) -> None:
        """Hide the tasks that do not match, and headings with none left; mark the first that does."""
        first: QTreeWidgetItem | None = None
        for top in self._tops():
            left = 0
            for row in range(top.childCount()):
                item = top.child(row)
                assert item is not None
                entry: Entry = item.data(0, _ROLE)
                item.setHidden(not entry.matches(words))
                if not item.isHidden():
                    left += 1
                    first = first or item
            top.setHidden(left == 0)
        self.tree.setCurrentItem(first)

    def shown(self) -> list[Task]:
        """Return the tasks that match the search, in order."""
        children = [top.child(row) for top in self._tops() for row in range(top.childCount())]
        return [item.data(0, _ROLE).task for item in children if item is not None and not item.isHidden()]

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if watched is self.search and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._take(self.tree.currentItem())
                return True
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
                self.tree.setFocus()
        return bool(super().eventFilter(watched, event))

    def _tops(self) -> list[QTreeWidgetItem]:
        items = [self.tree.topLevelItem(index) for index in range(self.tree.topLevelItemCount())]
        return [item for item in items if item is not None]

    def _take(self, item: QTreeWidgetItem | None, _column: int = 0) -> None:
        entry = item.data(0, _ROLE) if item is not None else None
        if isinstance(entry, Entry):
            self.hide()
            self.picked.emit(entry.task)
