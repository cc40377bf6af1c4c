"""The dock in windows of laptops: nothing is cut off at the side, and what is below can be scrolled to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QLabel, QLineEdit, QPushButton, QWidget

from napari_m2dino.napari_compat import main_window
from napari_m2dino.widgets.dock import M2DinoDock

TASKS = ("carotid_artery", "thyroid_nodule_det", "FUGC", "breast_2cls")


def cut_off(dock: M2DinoDock) -> Iterator[str]:
    """Yield what of the dock cannot be seen whole however far one scrolls."""
    view, content = dock.area.viewport(), dock.area.widget()
    assert view is not None
    assert content is not None
    if content.width() > view.width():
        yield f"the content is {content.width()} px wide, and {view.width()} px of it are seen"
    for widget in dock.findChildren(QWidget):
        if not widget.isVisible() or widget.window() is not dock.window():
            continue
        left = widget.mapTo(dock, QPoint(0, 0)).x()
        if left < 0 or left + widget.width() > dock.width():
            yield f"{widget} reaches from {left} to {left + widget.width()} of {dock.width()}"
        if isinstance(widget, QPushButton) and widget.fontMetrics().horizontalAdvance(widget.text()) > widget.width():
            yield f"the button {widget.text()!r} is too narrow"


@pytest.mark.parametrize("size", [(1280, 800), (900, 700)], ids=["1280x800", "900x700"])
def test_nothing_is_cut_off_at_the_side_and_everything_can_be_scrolled_to(
    echo_dock: M2DinoDock, hand: Any, size: tuple[int, int]
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    window = main_window(dock.viewer)
    assert window is not None
    hand.predict_all(dock)
    window.resize(*size)
    for task in TASKS:
        desk.choose_task(desk.tasks[task])
        hand.click(dock.review.new_label)
        hand.qtbot.wait(200)
        assert window.height() == size[1]
        assert list(cut_off(dock)) == [], task
        bottom = dock.mapTo(window, QPoint(0, dock.height())).y()
        assert bottom <= window.height()
        bar = dock.area.verticalScrollBar()
        bar.setValue(bar.maximum())
        last = dock.improve.mapTo(dock.area.viewport(), QPoint(0, dock.improve.height())).y()
        assert last <= dock.area.viewport().height(), "the last section cannot be scrolled to"


def test_the_frame_numbers_beside_the_slider_are_whole(echo_dock: M2DinoDock, hand: Any) -> None:
    window = main_window(echo_dock.viewer)
    assert window is not None
    echo_dock.viewer.theme = "light"
    window.resize(900, 700)
    hand.qtbot.wait(300)
    field = next(one for one in window.findChildren(QLineEdit, "slice_label") if one.isVisible())
    assert field.fontMetrics().horizontalAdvance("29") + 4 <= field.width(), "2 px on either side are Qt's own"
    shown = [label for label in window.findChildren(QLabel, "slice_label") if label.isVisible()]
    assert [label.text() for label in shown] == ["29"]
    assert all(label.sizeHint().width() <= label.width() for label in shown)
