"""How the dock looks: a little on top of napari's own style, from the colours of its theme."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QDialogButtonBox, QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

STATE_COLOURS = {
    "blank": "#8a8f98",
    "proposed": "#4a9be8",
    "changed, not accepted": "#f0a030",
    "accepted": "#3fb56b",
    "edited": "#1fb8b0",
    "rejected": "#d65a5a",
}
ORIGIN_COLOUR = "#9b7be0"
"""Of proposals that no model made: carried, filled in between, imported."""
MOMENT_COLOURS = {
    "R wave": "#e05555",
    "end-diastole": "#4a9be8",
    "end-systole": "#f0a030",
    "frame of interest": "#8a8f98",
}
LEVEL_COLOURS = {"info": "#8a8f98", "good": "#3fb56b", "warning": "#f0a030", "error": "#e05555"}


def sheet(colours: Mapping[str, str]) -> str:
    """Return the dock's style sheet for the colours of a napari theme."""
    accent, text, line = colours["current"], colours["text"], colours["primary"]
    on_accent = "black" if QColor(accent).lightnessF() > 0.6 else "white"
    return f"""
        QLabel#section {{ font-weight: bold; letter-spacing: 1px; color: {text}; }}
        QLabel#quiet {{ color: {text}; }}
        QLabel#harm {{ color: #e05555; font-weight: bold; }}
        QLabel#name {{ font-weight: bold; }}
        QFrame#line {{ background: {line}; max-height: 1px; min-height: 1px; border: none; }}
        QPushButton {{ padding: 5px 6px; min-height: 16px; }}
        QPushButton#small {{ padding: 2px 7px; min-height: 12px; }}
        QPushButton#tool {{ padding: 3px 2px; min-height: 14px; }}
        QPushButton#wide {{ padding: 5px 2px; }}
        QPushButton#chip {{ text-align: left; padding: 3px 6px; }}
        QLabel#notice {{ color: {text}; font-size: 8pt; }}
        QPushButton[main="true"] {{ background: {accent}; color: {on_accent}; font-weight: bold; }}
        QPushButton[main="true"]:disabled {{ background: {colours["foreground"]}; color: {line}; font-weight: normal; }}
        QPushButton#picker {{ text-align: left; padding: 6px 8px; font-weight: bold; }}
        QProgressBar {{ min-height: 16px; max-height: 16px; border-radius: 3px; text-align: center; }}
        QLabel#message {{ padding: 7px 9px; border-radius: 4px; background: {colours["foreground"]}; }}
    """


def set_main(button: QPushButton, main: bool) -> None:
    """Mark a button as the one to press next, or not."""
    if button.property("main") != main:
        button.setProperty("main", main)
        if (style := button.style()) is not None:
            style.unpolish(button)
            style.polish(button)


class Section(QWidget):
    """A titled part of the dock; `body` is the layout to fill, `corner` takes small things beside the title."""

    def __init__(self, title: str) -> None:
        super().__init__()
        label = QLabel(title.upper())
        label.setObjectName("section")
        line = QFrame()
        line.setObjectName("line")
        self.corner = QHBoxLayout()
        self.corner.setSpacing(4)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(label)
        head.addWidget(line, 1, Qt.AlignmentFlag.AlignVCenter)
        head.addLayout(self.corner)
        self.body = QVBoxLayout()
        self.body.setSpacing(5)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(6)
        outer.addLayout(head)
        outer.addLayout(self.body)


class Words(QLabel):
    """Text that wraps and never asks for width: the dock stays narrow whatever is said."""

    def __init__(self, text: str = "", name: str = "quiet") -> None:
        super().__init__(text)
        self.setObjectName(name)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def say(self, text: str) -> None:
        """Show `text`; an empty one takes no room."""
        self.setText(text)
        self.setVisible(bool(text))


def row(*widgets: QWidget, stretch: tuple[int, ...] = ()) -> QHBoxLayout:
    """Return a row of widgets, each with its stretch (1 where none is given)."""
    layout = QHBoxLayout()
    layout.setSpacing(5)
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, stretch[index] if index < len(stretch) else 1)
    return layout


def button(text: str, tip: str, key: str = "") -> QPushButton:
    """Return a button whose tooltip names its key; a click leaves the keyboard with the image."""
    made = QPushButton(text)
    made.setToolTip(f"{tip}  [{key}]" if key else tip)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(0)
    return made


def small_button(text: str, tip: str) -> QPushButton:
    """Return a button for the corner of a section."""
    made = button(text, tip)
    made.setObjectName("small")
    made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return made


def dialog_button(box: QDialogButtonBox, text: str, role: QDialogButtonBox.ButtonRole) -> QPushButton:
    """Add a button with a text of ours to those of a dialog, and return it."""
    made = QPushButton(text)
    box.addButton(made, role)
    return made
