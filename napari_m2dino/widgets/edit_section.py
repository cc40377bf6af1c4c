"""Section Edit: one row that corrects the frame shown, one that spares drawing, and files of other programs."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAction, QActionGroup, QMenu, QProgressBar, QPushButton

from napari_m2dino.carrying import REACHES
from napari_m2dino.hand_tools import HandTools
from napari_m2dino.keys import Keys
from napari_m2dino.widgets.fold import FoldingSection
from napari_m2dino.widgets.style import button, row, small_button


class EditSection(FoldingSection):
    """Buttons for the kind of task on the desk. Emits `import_wanted` and `export_wanted`."""

    import_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, tools: HandTools, keys: Keys) -> None:
        super().__init__("Edit", is_open=True)
        self.tools = tools
        self.keys = keys
        editing, carrying = tools.editing, tools.carrying
        self.holes = _tool("Holes", "Fill background that a class surrounds", editing.fill_holes)
        self.smooth = _tool("Smooth", "Smooth the outlines of the mask", editing.smooth)
        self.largest = _tool("Largest", "Keep the largest piece of each class", editing.largest)
        self.hide_point = _tool("Not visible", "", editing.hide_points)
        self.copy_before = _tool("◂ Copy", "Copy the label of the frame before", partial(editing.copy_from, -1))
        self.copy_after = _tool("Copy ▸", "Copy the label of the frame after", partial(editing.copy_from, 1))
        self.carry = button("Carry to neighbours", "", "")
        self.reach = small_button("", "How far to carry, in frames on either side")
        self.fill = button("Fill in between", "", "")
        for wide in (self.carry, self.fill):
            wide.setObjectName("wide")  # with less padding: the three must fit into a dock with a scroll bar
        self.bar = QProgressBar()
        self.bar.setMinimumWidth(0)
        self.cancel = button("Cancel", "Stop; what is done stays, but nothing of an export is left")
        self._make_menus()
        self.inner.addLayout(
            row(self.holes, self.smooth, self.largest, self.hide_point, self.copy_before, self.copy_after)
        )
        self.inner.addLayout(row(self.carry, self.reach, self.fill, stretch=(4, 0, 3)))
        self.inner.addLayout(row(self.bar, self.cancel, stretch=(3, 1)))
        self.carry.clicked.connect(carrying.carry)
        self.fill.clicked.connect(lambda: carrying.fill())
        self.cancel.clicked.connect(self._cancel)
        carrying.changed.connect(self.refresh)
        tools.exchange.changed.connect(self.refresh)
        tools.desk.session_changed.connect(self.refresh)
        keys.changed.connect(self.refresh)
        self.refresh()

    def _make_menus(self) -> None:
        carrying = self.tools.carrying
        menu, only_one = QMenu(self.reach), QActionGroup(self.reach)
        for frames in REACHES:
            action = QAction(f"{frames} frames on either side", menu)
            action.setCheckable(True)
            action.setChecked(frames == carrying.reach)
            action.triggered.connect(partial(_ignoring_checked, partial(carrying.set_reach, frames)))
            only_one.addAction(action)
            menu.addAction(action)
        menu.addSeparator()
        everywhere = QAction("Fill in between all decided frames", menu)
        everywhere.triggered.connect(partial(_ignoring_checked, partial(carrying.fill, True)))
        menu.addAction(everywhere)
        over = QAction("Carry over the model's proposals, even likely better ones", menu)
        over.setCheckable(True)
        over.setChecked(carrying.over_model)
        over.triggered.connect(carrying.set_over_model)
        menu.addAction(over)
        self.reach.setMenu(menu)
        self.files = small_button("Labels…", "Export labels for other programs, or import theirs onto this loop")
        files = QMenu(self.files)
        for text, signal in (("Export…", self.export_wanted), ("Import…", self.import_wanted)):
            action = QAction(text, files)
            action.triggered.connect(partial(_ignoring_checked, signal.emit))
            files.addAction(action)
        self.files.setMenu(files)
        self.corner.insertWidget(0, self.files)

    def refresh(self) -> None:
        """Show the buttons of the kind of task, which can be pressed, and how far the work is."""
        desk, carrying, exchange = self.tools.desk, self.tools.carrying, self.tools.exchange
        kind = desk.task.type if desk.task is not None else ""
        ready = desk.result is not None
        for tool in (self.holes, self.smooth, self.largest):
            tool.setVisible(kind == "segmentation")
        self.hide_point.setVisible(kind == "regression")
        for tool in (self.holes, self.smooth, self.largest, self.hide_point, self.copy_before, self.copy_after):
            tool.setEnabled(ready)
        placed = kind != "classification"
        for widget in (self.carry, self.reach, self.fill):
            widget.setVisible(placed)
            widget.setEnabled(ready and not carrying.errand.running)
        self.carry.setToolTip(
            self.keys.tip(
                f"Follow the tissue to {carrying.reach} frames on either side; the results are proposals", "carry"
            )
        )
        self.reach.setText(f"± {carrying.reach}")
        self.fill.setToolTip(
            self.keys.tip("From the decided frame before to the one after; the results are proposals", "fill_between")
        )
        self.hide_point.setToolTip(
            self.keys.tip("Mark the selected point, or the next one, as not visible", "hide_point")
        )
        self.files.setEnabled(not exchange.errand.running)
        busy = next((one.errand for one in (carrying, exchange) if one.errand.running), None)
        self.bar.setVisible(busy is not None)
        self.cancel.setVisible(busy is not None)
        if busy is not None:
            self.bar.setRange(0, busy.total)
            self.bar.setValue(busy.done)
            self.bar.setFormat(f"{busy.done} / {busy.total}" if busy.total else "")

    def _cancel(self) -> None:
        for one in (self.tools.carrying, self.tools.exchange):
            one.cancel()


def _tool(text: str, tip: str, action: object) -> QPushButton:
    made = button(text, tip)
    made.setObjectName("tool")
    made.clicked.connect(partial(_ignoring_checked, action))
    return made


def _ignoring_checked(action: object, _checked: bool = False) -> None:
    assert callable(action)
    action()
