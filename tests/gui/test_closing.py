"""The end: closing the viewer or the dock in the middle of anything leaves no thread, no process, no callback."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from m2dino.data.store import Store
from m2dino.tasks import load_tasks
from napari.viewer import Viewer
from pytestqt.qtbot import QtBot

from napari_m2dino.widgets.dock import M2DinoDock


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("m2dino")]


def close_viewer(dock: M2DinoDock) -> None:
    dock.viewer.close()


def close_dock(dock: M2DinoDock) -> None:
    dock.viewer.window.remove_dock_widget(dock)


@pytest.mark.parametrize("close", [close_viewer, close_dock])
def test_closing_while_predicting(echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, close: Callable[..., None]) -> None:
    workshop = echo_dock.workshop
    with qtbot.waitSignal(workshop.predicting.arrived, timeout=30_000):
        hand.click(echo_dock.predict.all_frames)
    assert our_threads()
    close(echo_dock)
    assert workshop.closed
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    qtbot.wait(300)  # late arrivals, if any, meet nobody


@pytest.mark.parametrize("close", [close_viewer, close_dock])
def test_closing_while_training(echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, close: Callable[..., None]) -> None:
    workshop, desk = echo_dock.workshop, echo_dock.workshop.desk
    hand.click(echo_dock.review.new_label)
    for frame in (0, 5, 10, 15, 20):
        hand.paint(echo_dock, frame, 120, 160, size=60)
        hand.click(echo_dock.review.accept)
    hand.all_saved(echo_dock)
    qtbot.waitUntil(lambda: echo_dock.improve.train.isEnabled(), timeout=10_000)
    hand.click(echo_dock.improve.train)
    qtbot.waitUntil(lambda: workshop.process.pid > 0, timeout=20_000)
    child = psutil.Process(workshop.process.pid)
    close(echo_dock)
    qtbot.waitUntil(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, timeout=5_000)
    assert not psutil.Process().children(recursive=True) or child.pid not in [
        one.pid for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE
    ]
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    assert desk.checkpoint.path.is_file()


def test_what_was_accepted_just_before_closing_is_saved(echo_dock: M2DinoDock, hand: Any, dataset: Path) -> None:
    hand.predict_all(echo_dock)
    echo_dock.workshop.desk.go_to(7)
    hand.click(echo_dock.review.accept)
    echo_dock.viewer.close()
    with Store.open(dataset) as store:
        assert [record.frame for record in store.records()] == [7]


def test_a_dock_opened_again_goes_on_where_the_first_left_off(
    echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, checkpoint: Path
) -> None:
    viewer: Viewer = echo_dock.viewer
    hand.predict_all(echo_dock)
    layer = echo_dock.workshop.desk.result.layer
    close_dock(echo_dock)
    again = M2DinoDock(viewer)
    viewer.window.add_dock_widget(again, name="M2DINO again")
    try:
        desk = again.workshop.desk
        assert desk.loop is not None
        desk.choose_task(load_tasks()["carotid_artery"])
        assert desk.result.layer is layer
        assert "30 to review" in again.review.tally.text()
        again.workshop.add_checkpoint(checkpoint)
        qtbot.waitUntil(lambda: desk.checkpoint is not None and desk.checkpoint.path == checkpoint, timeout=20_000)
        hand.paint(again, 4, 100, 100, 1 - int(layer.data[4, 100, 100]))
        mine = layer.data[4].copy()
        hand.predict_all(again)
        assert np.array_equal(layer.data[4], mine)
        assert len([one for one in viewer.layers if one.name == layer.name]) == 1
    finally:
        again.close_down()


def test_another_tab_in_front_is_not_closing(echo_dock: M2DinoDock, qtbot: QtBot) -> None:
    from qtpy.QtWidgets import QWidget

    echo_dock.viewer.window.add_dock_widget(QWidget(), name="another", tabify=True)
    qtbot.wait(200)
    assert not echo_dock.workshop.closed
