"""Editing, carrying, filling in: real clicks and keys on a real loop; a person's own frames stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.store import Store
from m2dino.values import Box, Keypoints, Mask, Prediction
from qtpy.QtCore import Qt

from napari_m2dino.applying import propose
from napari_m2dino.layers import rectangle_from_box
from napari_m2dino.origins import Origin, carried_from, origin_of
from napari_m2dino.session import FrameState
from napari_m2dino.tour.hand import Hand
from napari_m2dino.widgets.dock import M2DinoDock


def drawn(size: tuple[int, int], y: int, x: int, radius: int) -> Mask:
    """Return a disc of class 1."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return Mask(((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8))


def done(dock: M2DinoDock, hand: Any) -> None:
    """Wait until nothing is under way."""
    tools = dock.workshop.hand
    errands = (tools.carrying.errand, tools.exchange.errand)
    hand.qtbot.waitUntil(lambda: not any(errand.running for errand in errands), timeout=30_000)
    hand.qtbot.wait(100)


def test_a_mask_is_cleaned_carried_and_filled_in(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk, tools = echo_dock, echo_dock.workshop.desk, echo_dock.workshop.hand
    dock.review.moves_on.setChecked(False)
    size = (desk.loop.height, desk.loop.width)
    hand.click(dock.review.new_label)
    layer = desk.result.layer

    # a hole and a stray piece are cleaned away
    dirty = drawn(size, 100, 150, 30).labels.copy()
    dirty[95:105, 145:155] = 0
    dirty[10:14, 10:14] = 1
    desk.go_to(5)
    desk.result.write({5: Mask(dirty)})
    hand.click(dock.edit.holes)
    done(dock, hand)
    assert layer.data[5, 100, 150] == 1
    hand.click(dock.edit.largest)
    done(dock, hand)
    assert layer.data[5, 12, 12] == 0
    assert np.array_equal(layer.data[5], drawn(size, 100, 150, 30).labels)
    assert desk.session.state(5) is FrameState.CHANGED, "cleaning is a person's change"
    hand.click(dock.edit.holes)
    done(dock, hand)
    assert "no holes" in dock.message.text()
    hand.click(dock.edit.smooth)
    done(dock, hand)
    assert layer.data[5].sum() > 2000

    # the neighbour's label is copied
    desk.go_to(6)
    hand.click(dock.edit.copy_before)
    assert np.array_equal(layer.data[6], layer.data[5])
    hand.qtbot.wait(120)
    hand.click(dock.review.take_back)
    assert not layer.data[6].any()

    # carried to both sides, up to a frame of the person's own, over a rejected one
    desk.go_to(8)
    hand.paint(dock, 8, 100, 150, size=40)
    hand.click(dock.review.accept)
    mine = layer.data[8].copy()
    desk.go_to(3)
    hand.click(dock.review.reject)
    desk.go_to(5)
    hand.click(dock.review.accept)
    keys = echo_dock.viewer.window._qt_viewer.canvas._key_map_handler
    keys.press_key("G")
    assert tools.carrying.errand.running
    assert dock.edit.cancel.isVisible()
    done(dock, hand)
    carried = [frame for frame in range(30) if origin_of(desk.session.maker(frame)) is Origin.CARRIED]
    assert {4, 6, 7} <= set(carried)
    assert not {3, 5, 8} & set(carried)
    assert np.array_equal(layer.data[8], mine)
    assert all(layer.data[frame].any() for frame in carried)
    assert {desk.session.state(frame) for frame in carried} == {FrameState.PROPOSED}
    desk.go_to(7)
    assert "carried from frame 5" in dock.review.frame.text()
    assert "carried from frame 5" in dock.review.strip.describe(7)
    from napari_m2dino.napari_compat import text_overlay

    assert "carried from frame 5" in text_overlay(echo_dock.viewer).text

    # filled in between two decided frames; the strip says so, and nothing is saved before it is accepted
    desk.go_to(12)
    desk.result.write({12: drawn(size, 100, 190, 30)})
    hand.click(dock.review.accept)
    keys.press_key("I")
    done(dock, hand)
    assert [origin_of(desk.session.maker(frame)) for frame in (9, 10, 11)] == [Origin.INTERPOLATED] * 3
    assert layer.data[10].any()
    hand.all_saved(dock)
    assert dock.workshop.reviewing.holdings.training == 3
    desk.go_to(10)
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    assert desk.session.state(10) is FrameState.ACCEPTED
    assert dock.workshop.reviewing.holdings.training == 4

    # a label that is no class is set back
    layer.selected_label = 2
    assert layer.selected_label == 1
    assert "only the label 1" in dock.message.text()


def test_carrying_can_be_cancelled_and_needs_something_to_carry(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.click(dock.edit.carry)
    assert "nothing to carry" in dock.message.text()
    hand.click(dock.edit.fill)
    assert "Nothing to fill in" in dock.message.text()
    hand.click(dock.review.new_label)
    desk.go_to(15)
    desk.result.write({15: drawn((desk.loop.height, desk.loop.width), 100, 150, 30)})
    carrying, actions = dock.workshop.hand.carrying, []
    carrying.acted.connect(lambda result, frames: actions.append(frames))
    carrying.set_reach(14)
    hand.click(dock.edit.carry)
    hand.qtbot.waitUntil(lambda: desk.session.maker(16) != "", timeout=20_000)
    hand.click(dock.edit.cancel)
    done(dock, hand)
    assert "Stopped" in dock.message.text()
    assert desk.session.maker(1) == ""
    assert actions == [[frame for frame in range(30) if desk.session.maker(frame)]], "one press is one action"

    # a layer that is deleted in the middle comes back with all that is known
    hand.click(dock.edit.carry)
    dock.viewer.layers.remove(desk.result.layer)
    done(dock, hand)
    assert all(desk.result.layer.data[frame].any() for frame in actions[1])


def test_one_box_a_frame(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    desk.choose_task(desk.tasks["thyroid_nodule_det"])
    desk.go_to(0)
    keys = echo_dock.viewer.window._qt_viewer.canvas._key_map_handler
    keys.press_key("D")
    layer = desk.result.layer
    assert layer.mode == "add_rectangle"
    layer.add(rectangle_from_box(0, Box(10, 20, 110, 140)), shape_type="rectangle")
    layer.add(rectangle_from_box(0, Box(30, 40, 130, 160)), shape_type="rectangle")
    assert desk.result.value(0).as_tuple() == (30, 40, 130, 160)
    assert "takes the place" in dock.message.text()
    layer.add(rectangle_from_box(0, Box(50, 50, 51, 51)), shape_type="rectangle")
    assert desk.result.value(0).as_tuple() == (30, 40, 130, 160)
    assert "too small" in dock.message.text()
    keys.press_key("G")
    done(dock, hand)
    assert origin_of(desk.session.maker(1)) is Origin.CARRIED
    assert isinstance(desk.result.value(1), Box)


def test_points_have_names_and_may_be_hidden(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    desk.choose_task(desk.tasks["IUGC"])
    desk.go_to(0)
    hand.click(dock.review.new_label)
    result = desk.result
    first, second, third = desk.task.label_names
    result.layer.add([0, 30, 40])
    hand.qtbot.wait(120)
    assert dock.review.chips.chips[0].text() == f"{first} ✓"
    hand.click(dock.edit.hide_point)  # the next to place
    assert result.hidden(0) == {second}
    result.layer.add([0, 70, 80])
    assert result.placed(0) == [first, third], "a hidden point is passed over"
    hand.qtbot.wait(120)
    hand.click(dock.review.chips.chips[0])  # selects it
    assert result.selected(0) == [first]
    keys = echo_dock.viewer.window._qt_viewer.canvas._key_map_handler
    keys.press_key("H")
    assert np.isnan(result.value(0).points).all(axis=1).tolist() == [True, True, False]
    hand.qtbot.wait(120)
    assert dock.review.chips.chips[0].text() == f"{first} ✗"
    keys.press_key("Control-Z")
    assert result.value(0).points[0].tolist() == [30, 40]
    assert result.hidden(0) == {second}, "what stands there again is not said to be hidden: it keeps its turn"
    result.select(0, first)
    keys.press_key("H")
    hand.qtbot.wait(120)
    hand.click(dock.review.chips.chips[0])  # back where it was
    assert result.value(0).points[0].tolist() == [30, 40]
    hand.click(dock.review.chips.chips[1])  # never had a place: placed by the next click
    result.layer.add([0, 50, 60])
    assert result.value(0).points.tolist() == [[30, 40], [50, 60], [70, 80]]
    # napari gives points that come together all the name of one
    result.layer.add([[1, 10, 10], [1, 20, 20]])
    assert result.placed(1) == [first, second]
    hand.click(dock.review.accept)
    desk.go_to(4)
    result.write({4: Keypoints(np.array([[34.0, 44], [54, 64], [74, 84]]))})
    hand.click(dock.review.accept)
    result.layer.selected_data = {int(row) for row in np.flatnonzero(result.layer.data[:, 0] == 1)}
    result.layer.remove_selected()
    hand.qtbot.wait(120)
    hand.click(dock.edit.fill)
    done(dock, hand)
    assert result.value(2).points[0].tolist() == [32, 42]
    assert "interpolated" in dock.review.strip.describe(2)


def test_number_keys_choose_the_class(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    desk.choose_task(desk.tasks["breast_2cls"])
    desk.go_to(0)
    keys = echo_dock.viewer.window._qt_viewer.canvas._key_map_handler
    keys.press_key("2")
    assert desk.result.value(0).index == 1
    keys.press_key("1")
    assert desk.result.value(0).index == 0
    desk.go_to(1)
    hand.click(dock.edit.copy_before)
    assert desk.result.value(1).index == 0
    desk.choose_task(desk.tasks["carotid_artery"])
    hand.click(dock.review.new_label)
    keys.press_key("1")
    assert desk.result.layer.mode == "erase", "elsewhere the number keys are napari's"


def test_a_drawn_rectangle_replaces_the_one_before(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    desk.choose_task(desk.tasks["thyroid_nodule_det"])
    mouse = Hand(dock.viewer, dock)
    mouse.press(Qt.Key.Key_D)
    mouse.paint([(40, 60), (80, 100), (120, 160)])
    before = desk.result.value(desk.frame)
    assert before.as_tuple() == pytest.approx((40.5, 60.5, 120.5, 160.5), abs=2)
    mouse.paint([(150, 180), (180, 200), (200, 280)])
    assert len(desk.result.layer.data) == 1
    assert desk.result.value(desk.frame).as_tuple() == pytest.approx((150.5, 180.5, 200.5, 280.5), abs=2)
    mouse.paint([(60, 80), (60, 80)])
    assert desk.result.value(desk.frame).as_tuple() == pytest.approx((150.5, 180.5, 200.5, 280.5), abs=2)
    assert "too small" in dock.message.text()


def test_what_was_hard_to_follow_does_not_replace_a_proposal(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk, carrying = echo_dock, echo_dock.workshop.desk, echo_dock.workshop.hand.carrying
    size = (desk.loop.height, desk.loop.width)
    hand.click(dock.review.new_label)
    propose(desk.result, [Prediction(7, desk.task.id, drawn(size, 90, 90, 20), 0.9, "a model")])

    def work(_progress: Any, _stop: Any, hand_over: Callable[[Prediction], None]) -> list[str]:
        for frame, confidence in ((6, 0.2), (7, 0.2), (8, 0.8)):
            hand_over(Prediction(frame, desk.task.id, drawn(size, 100, 150, 30), confidence, carried_from(5)))
        return []

    carrying._begin(desk.result, work, "carrying")
    done(dock, hand)
    assert [desk.session.maker(frame) for frame in (6, 7, 8)] == [carried_from(5), "a model", carried_from(5)]
    assert "On 1 frame what had been proposed stays" in dock.message.text()
    assert "hard to follow on 1 of them" in dock.message.text()


def test_predicting_all_frames_loses_nothing_that_comes_of_a_persons_work(
    echo_dock: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    session, layer = desk.session, desk.result.layer
    size = (desk.loop.height, desk.loop.width)
    desk.go_to(10)
    desk.result.write({10: drawn(size, 100, 150, 30)})
    hand.click(dock.review.accept)
    desk.go_to(14)
    desk.result.write({14: drawn(size, 110, 160, 30)})
    hand.click(dock.review.accept)
    desk.go_to(12)
    hand.click(dock.edit.fill)
    done(dock, hand)
    desk.go_to(20)
    hand.click(dock.review.reject)
    hand.paint(dock, 22, 60, 60, 1 - layer.data[22, 60, 60])
    mine = [10, 11, 12, 13, 14, 20, 22]
    makers = {frame: session.maker(frame) for frame in range(30)}
    assert [frame for frame in makers if session.is_by_hand(frame)] == [11, 12, 13]
    before = layer.data.copy()

    hand.predict_all(dock)
    assert np.array_equal(layer.data[mine], before[mine])
    assert {frame: session.maker(frame) for frame in mine} == {frame: makers[frame] for frame in mine}
    assert [session.state(frame) for frame in mine[1:4]] == [FrameState.PROPOSED] * 3
    assert session.state(22) is FrameState.CHANGED
    assert "Predicted 23 frames" in dock.message.text()
    assert "4 of yours kept as they were. 3 frames that were carried, filled in or imported stay" in dock.message.text()

    # the frame shown is predicted in place of what was filled in, for that was asked for; undo brings it back
    desk.go_to(12)
    hand.click(dock.predict.this_frame)
    hand.qtbot.waitUntil(lambda: not dock.workshop.predicting.running, timeout=30_000)
    assert not session.is_by_hand(12)
    assert not np.array_equal(layer.data[12], before[12])
    hand.qtbot.wait(120)
    hand.click(dock.review.undo)
    assert "predicting anew" in dock.message.text()
    assert np.array_equal(layer.data[12], before[12])
    assert session.is_by_hand(12)
    assert session.state(12) is FrameState.PROPOSED
    hand.click(dock.review.redo)
    assert not session.is_by_hand(12)
    hand.click(dock.review.undo)

    # what is carried while a prediction is under way stays, too
    hand.click(dock.predict.all_frames)
    propose(desk.result, [Prediction(5, desk.task.id, drawn(size, 100, 150, 30), 0.9, carried_from(10))])
    hand.qtbot.waitUntil(lambda: not dock.workshop.predicting.running, timeout=60_000)
    assert session.is_by_hand(5)
    assert np.array_equal(layer.data[5], drawn(size, 100, 150, 30).labels)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        assert sorted(record.frame for record in store.records()) == [10, 14, 20]
