"""A field that takes the key pressed in it. Qt's own waits a second for more keys to follow, and takes four."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QLineEdit

_MODIFIERS = {
    "Ctrl": Qt.KeyboardModifier.ControlModifier,
    "Meta": Qt.KeyboardModifier.MetaModifier,
    "Alt": Qt.KeyboardModifier.AltModifier,
    "Shift": Qt.KeyboardModifier.ShiftModifier,
}
_ALONE = (Qt.Key.Key_Control, Qt.Key.Key_Shift, Qt.Key.Key_Alt, Qt.Key.Key_AltGr, Qt.Key.Key_Meta)


class KeyField(QLineEdit):
    """Shows the key pressed last, in Qt's writing ("Ctrl+P"). Emits `pressed()`; Tab goes on to the next widget."""

    pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setPlaceholderText("press a key here")
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)

    def event(self, event: QEvent | None) -> bool:
        # A key that is a menu's as well is to be shown, and not to do what the menu does.
        if event is not None and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        if event is None or event.key() in (*_ALONE, 0, Qt.Key.Key_unknown):
            return
        name = QKeySequence(event.key()).toString(QKeySequence.SequenceFormat.PortableText)
        held = [word for word, modifier in _MODIFIERS.items() if event.modifiers() & modifier]
        self.setText("+".join([*held, name]))
        self.pressed.emit()
