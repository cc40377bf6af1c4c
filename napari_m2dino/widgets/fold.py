"""A section that can be folded to its title."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_m2dino.widgets.style import Section


class FoldingSection(Section):
    """A section whose body is shown or hidden by the arrow in its corner. Emits `folded(bool)`."""

    folded = Signal(bool)

    def __init__(self, title: str, is_open: bool) -> None:
        super().__init__(title)
        self.content = QWidget()
        self.inner = QVBoxLayout(self.content)
        self.inner.setContentsMargins(0, 0, 0, 0)
        self.inner.setSpacing(5)
        self.body.addWidget(self.content)
        self.arrow = QToolButton()
        self.arrow.setObjectName("fold")
        self.arrow.setAutoRaise(True)
        self.arrow.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.arrow.setCheckable(True)
        self.arrow.setChecked(is_open)
        self.arrow.setAccessibleName(f"Show or hide {title}")
        self.arrow.toggled.connect(self._fold)
        self.corner.addWidget(self.arrow)
        self._fold(is_open)

    @property
    def is_open(self) -> bool:
        """Whether the body is shown."""
        return self.arrow.isChecked()

    def _fold(self, is_open: bool) -> None:
        self.arrow.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self.arrow.setToolTip("Hide" if is_open else "Show")
        self.content.setVisible(is_open)
        self.folded.emit(not is_open)
