"""One history for whatever a person does, and undecided work that survives the window. One window for most of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from m2dino.data.store import Store
from m2dino.values import Box
from pytestqt.qtbot import QtBot

from napari_m2dino.layers import rectangle_from_box
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.dock import M2DinoDock


def press(dock: M2DinoDock, key: str) -> None:
    dock.viewer.window._qt_viewer.canvas._key_map_handler.press_key(key)


def test_one_history_over_masks_states_boxes_points_and_classes(
    echo_dock: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.workshop.reviewing.moves_on = False
    hand.predict_all(dock)
    layer, session = desk.result.layer, desk.session
    proposed = layer.data.copy()
    assert "nothing to undo" in dock.workshop.reviewing.ledger.undo(), "a prediction is no doing of a person"

    hand.paint(dock, 4, 60, 60, 1 - proposed[4, 60, 60])
    painted = layer.data[4].copy()
    hand.click(dock.review.accept)
    desk.go_to(9)
    hand.click(dock.review.reject)
    desk.go_to(20)
    press(dock, "Control-Z")
    assert desk.frame == 9, "it shows what it undoes"
    assert "rejecting frame 9" in dock.message.text()
    assert session.state(9) is FrameState.PROPOSED
    press(dock, "Control-Z")
    assert (desk.frame, session.state(4)) == (4, FrameState.CHANGED)
    assert np.array_equal(layer.data[4], painted)
    press(dock, "Control-Z")
    assert "painting on frame 4" in dock.message.text()
    assert session.state(4) is FrameState.PROPOSED
    assert np.array_equal(layer.data, proposed)
    press(dock, "Control-Shift-Z")
    press(dock, "Control-Shift-Z")
    assert session.state(4) is FrameState.EDITED
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        assert [(r.frame, r.fate) for r in store.records()] == [(4, "edited")]
        assert np.array_equal(store.records()[0].value.labels, painted)

    desk.choose_task(desk.tasks["thyroid_nodule_det"])
    hand.click(dock.review.new_label)
    boxes = desk.result.layer
    boxes.add(rectangle_from_box(desk.frame, Box(10, 20, 110, 140)), shape_type="rectangle")
    hand.qtbot.wait(120)
    boxes.selected_data = {0}
    boxes.remove_selected()
    hand.qtbot.wait(120)
    press(dock, "Control-Z")
    assert desk.result.value(desk.frame).as_tuple() == (10, 20, 110, 140)
    press(dock, "Control-Z")
    assert desk.result.value(desk.frame) is None

    desk.choose_task(desk.tasks["FUGC"])
    hand.click(dock.review.new_label)
    desk.result.layer.add([desk.frame, 30, 40])
    hand.qtbot.wait(120)
    moved = desk.result.layer.data.copy()
    moved[0, 1] += 7
    desk.result.layer.data = moved
    desk.result.changed.emit(desk.frame)
    hand.qtbot.wait(120)
    press(dock, "Control-Z")
    assert desk.result.layer.data[0].tolist() == [desk.frame, 30, 40]

    desk.choose_task(desk.tasks["breast_2cls"])
    dock.workshop.reviewing.choose_class(1)
    press(dock, "Control-Z")
    assert desk.result.value(desk.frame) is None
    assert "choice of a class" in dock.message.text()
    press(dock, "Control-Z")
    assert desk.task.id == "FUGC", "the history is one: it goes back to the task before"


def test_undo_never_mixes_old_pixels_into_a_new_prediction(echo_dock: M2DinoDock, hand: Any) -> None:
    """What napari's own undo does on a layer whose data were replaced."""
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    layer, session = desk.result.layer, desk.session
    hand.paint(dock, 6, 60, 60, 1 - layer.data[6, 60, 60])
    painted = layer.data[6].copy()
    hand.click(dock.review.take_back)
    newer = np.zeros_like(painted)
    newer[100:150, 100:200] = 1
    old = session.proposal(6)
    session.propose(replace(old, value=type(old.value)(newer), model_id="newer"))
    desk.result.write({6: type(old.value)(newer)})
    hand.qtbot.wait(120)
    press(dock, "Control-Z")
    assert np.array_equal(layer.data[6], painted), "what was drawn comes back whole"
    press(dock, "Control-Z")
    assert np.array_equal(layer.data[6], newer), "before it stood the proposal: the newest one"
    assert session.state(6) is FrameState.PROPOSED
    layer.undo()
    assert np.array_equal(layer.data[6], newer), "nothing is left for napari's own undo either"


def test_undecided_work_comes_back_in_a_new_window_where_it_was_left(
    echo_dock: M2DinoDock, hand: Any, open_dock: Callable[[], M2DinoDock], qtbot: QtBot, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    layer = desk.result.layer
    desk.choose_task(desk.tasks["thyroid_nodule_det"])
    hand.predict_all(dock)
    desk.go_to(3)
    boxes = desk.result.layer
    boxes.selected_data = {int(row) for row in desk.result._rows(3)}
    boxes.remove_selected()
    hand.qtbot.wait(120)
    desk.choose_task(desk.tasks["carotid_artery"])
    hand.paint(dock, 12, 60, 60, 1 - layer.data[12, 60, 60])
    painted, proposed = layer.data[12].copy(), layer.data[13].copy()
    confidence = desk.session.confidence(13)
    desk.go_to(14)
    qtbot.waitUntil(lambda: dock.workshop.autosave.unkept == 0, timeout=2000)
    qtbot.wait(1000)
    dock.viewer.close()
    with Store.open(dataset) as store:
        assert store.records() == [], "undecided work is no record"

    second = open_dock()
    assert "frame 14" in second.resume.words.text()
    hand.click(second.resume.go)
    desk = second.workshop.desk
    qtbot.waitUntil(lambda: desk.session is not None and 12 in desk.session.unsaved(), timeout=20_000)
    assert (desk.task.id, desk.frame) == ("carotid_artery", 14)
    assert np.array_equal(desk.result.layer.data[12], painted)
    assert np.array_equal(desk.result.layer.data[13], proposed)
    assert desk.session.confidence(13) == confidence
    assert desk.session.states().count(FrameState.PROPOSED) == 29
    assert not second.resume.isVisible()
    desk.choose_task(desk.tasks["thyroid_nodule_det"])
    qtbot.waitUntil(lambda: desk.session.state(3) is FrameState.CHANGED, timeout=10_000)
    assert desk.result.value(3) is None, "a deleted box stays deleted"
    assert desk.result.value(4) is not None


def test_what_another_person_decides_meanwhile_is_told_and_nothing_is_lost(
    echo_dock: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.workshop.reviewing.moves_on = False
    hand.predict_all(dock)
    layer = desk.result.layer
    desk.go_to(1)
    hand.click(dock.review.accept)
    hand.paint(dock, 2, 60, 60, 1 - layer.data[2, 60, 60])
    mine = layer.data[2].copy()
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        first = store.get(desk.loop.identity, 1, desk.task.id)
        for frame in (2, 3):
            proposal = desk.session.proposal(frame)
            store.save(
                replace(first, frame=frame, value=proposal.value, proposal=proposal, author="Ann", created=""),
                desk.loop[frame],
            )
    dock.workshop.reviewing.heard.ask_for_news()
    hand.all_saved(dock)
    assert desk.session.state(3) is FrameState.ACCEPTED
    assert desk.session.state(2) is FrameState.CHANGED
    assert np.array_equal(layer.data[2], mine)
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        history = store.history(desk.loop.identity, 2, desk.task.id)
        assert [record.author for record in history if record] == ["Ann", ""]
        assert np.array_equal(history[-1].value.labels, mine)


def test_layers_deleted_or_given_other_data_lose_nothing(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk, viewer = echo_dock, echo_dock.workshop.desk, echo_dock.viewer
    hand.predict_all(dock)
    layer = desk.result.layer
    hand.paint(dock, 5, 60, 60, 1 - layer.data[5, 60, 60])
    painted = layer.data[5].copy()
    layer.name = "renamed"
    viewer.layers.move(viewer.layers.index(layer), 0)
    layer.data = np.zeros((30, 50, 60), np.int64)
    hand.click(dock.review.accept)
    assert "50 x 60" in dock.message.text()
    viewer.layers.remove(layer)
    hand.qtbot.wait(100)
    hand.click(dock.review.new_label)
    assert np.array_equal(desk.result.layer.data[5], painted)
    assert desk.session.state(5) is FrameState.CHANGED
    desk.result.layer.data[5, 0, 0] = 9
    desk.result.changed.emit(5)
    hand.click(dock.review.accept)
    assert "Label 9" in dock.message.text()
    press(dock, "Control-Z")
    assert np.array_equal(desk.result.layer.data[5], painted)


def test_a_rejected_frame_is_rejected_still_when_the_loop_is_opened_again(
    echo_dock: M2DinoDock, hand: Any, open_dock: Callable[[], M2DinoDock], qtbot: QtBot
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    desk.go_to(3)
    hand.click(dock.review.reject)
    qtbot.waitUntil(lambda: dock.workshop.autosave.unkept == 0, timeout=5000)
    qtbot.wait(1000)
    dock.viewer.close()
    second = open_dock()
    hand.click(second.resume.go)
    desk = second.workshop.desk
    qtbot.waitUntil(lambda: desk.session is not None and desk.session.is_decided(3), timeout=20_000)
    desk.go_to(3)
    qtbot.wait(300)
    desk.go_to(5)
    qtbot.wait(300)
    assert desk.session.state(3) is FrameState.REJECTED
