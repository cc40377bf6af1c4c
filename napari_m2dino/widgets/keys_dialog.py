"""The table of keys, in which each can be changed."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_m2dino.keys import Keys, KeyTakenError
from napari_m2dino.shortcuts import SHORTCUTS, table
from napari_m2dino.widgets.key_field import KeyField
from napari_m2dino.widgets.style import LEVEL_COLOURS, Words, button, dialog_button, row

_UNKEPT = "The keys hold for this window only: your settings cannot be written."


class KeysDialog(QDialog):
    """Shows what each key does; a line chosen, its key can be changed, taken away or set back.

    Parameters
    ----------
    keys : Keys
    parent : QWidget, optional
    """

    def __init__(self, keys: Keys, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("m2dino_keys")
        self.setWindowTitle("Keys of M2DINO")
        self.keys = keys
        self.table = QTableWidget(len(table()), 2)
        self.table.setHorizontalHeaderLabels(["Key", "What it does"])
        self.table.setAccessibleName("Keys and what they do")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        for header, mode in ((self.table.verticalHeader(), None), (self.table.horizontalHeader(), True)):
            if header is not None and mode is None:
                header.hide()
            elif header is not None:
                header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
                header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.edit = KeyField()
        self.edit.setAccessibleName("New key")
        self.edit.setToolTip("Click here and press the new key")
        self.change = button("Change", "Give the action of the line chosen this key")
        self.none = button("No key", "Take its key from the action of the line chosen")
        self.default = button("Default", "Give the action of the line chosen the key that it came with")
        self.words = Words("Choose a line, then press its new key in the field.")
        boxes = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.defaults = dialog_button(boxes, "All defaults", QDialogButtonBox.ButtonRole.ResetRole)
        column = QVBoxLayout(self)
        column.addWidget(self.table, 1)
        column.addLayout(
            row(QLabel("New key"), self.edit, self.change, self.none, self.default, stretch=(0, 3, 1, 1, 1))
        )
        column.addWidget(self.words)
        column.addWidget(boxes)
        boxes.rejected.connect(self.reject)
        self.change.clicked.connect(lambda: self._give(self.edit.text()))
        self.none.clicked.connect(lambda: self._give(""))
        self.default.clicked.connect(self._give_default)
        self.defaults.clicked.connect(self._give_defaults)
        self.table.itemSelectionChanged.connect(self._choose)
        self.edit.pressed.connect(self._choose_buttons)
        keys.changed.connect(self.refresh)
        self.resize(560, 620)
        self.refresh()
        self._choose()

    def refresh(self) -> None:
        """Show the keys in force; those that the person has changed are bold."""
        changed = self.keys.changes()
        for line, cells in enumerate(table(self.keys.all())):
            own = line < len(SHORTCUTS)
            for place, text in enumerate(cells):
                item = QTableWidgetItem(text)
                if not own:
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
                    item.setToolTip("This key cannot be changed")
                font = item.font()
                font.setBold(own and SHORTCUTS[line].id in changed)
                item.setFont(font)
                self.table.setItem(line, place, item)
        self.defaults.setEnabled(bool(changed))
        self._choose_buttons()

    def _choose(self) -> None:
        self.edit.clear()
        self._choose_buttons()

    def _choose_buttons(self) -> None:
        line = self.table.currentRow()
        chosen = 0 <= line < len(SHORTCUTS)
        one = SHORTCUTS[line] if chosen else None
        self.edit.setEnabled(chosen)
        self.change.setEnabled(chosen and bool(self.edit.text()))
        self.none.setEnabled(one is not None and bool(self.keys.key(one.id)))
        self.default.setEnabled(one is not None and one.id in self.keys.changes())

    def _give(self, key: str) -> None:
        one = SHORTCUTS[self.table.currentRow()]
        if self._done(lambda: self.keys.change(one.id, key)):
            now = self.keys.shown(one.id)
            self._say(f"“{one.text}” has the key {now} now." if now else f"“{one.text}” has no key now.", "good")
        self.edit.clear()
        self._choose_buttons()

    def _give_default(self) -> None:
        self._give(SHORTCUTS[self.table.currentRow()].key)

    def _give_defaults(self) -> None:
        if self._done(self.keys.reset):
            self._say("All keys are as they came.", "good")

    def _done(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except KeyTakenError as error:
            self._say(str(error), "error")
        except OSError:
            self._say(_UNKEPT, "warning")
        else:
            return True
        return False

    def _say(self, text: str, level: str) -> None:
        self.words.say(text)
        self.words.setStyleSheet(f"border-left: 4px solid {LEVEL_COLOURS[level]}; padding-left: 6px;")
