"""One history for whatever a person does, and undecided work that survives the window. One window for most of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.store import Store
from m2dino.values import Box, Mask
from pytestqt.qtbot import QtBot

from napari_m2dino import carrying as carrying_module
from napari_m2dino.history import Change, History, Step
from napari_m2dino.layers import rectangle_from_box
from napari_m2dino.reviewing import LOOK_DELAY_MS
from napari_m2dino.session import FrameState, Standing
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


# -- one press, one step ---------------------------------------------------------------------------------------------
def disc(desk: Any, y: int, x: int) -> Mask:
    """Return a disc of class 1 in the size of the loop."""
    rows, columns = np.ogrid[: desk.loop.height, : desk.loop.width]
    return Mask(((rows - y) ** 2 + (columns - x) ** 2 <= 30**2).astype(np.uint8))


class Gate:
    """What is carried or filled in waits here, frame by frame, until it is let through."""

    def __init__(self, hand: Any) -> None:
        self._hand = hand
        self._let = threading.Semaphore(0)

    def slowed(self, real: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Return `real` with a wait before each frame."""

        def slow(*args: Any, **options: Any) -> Iterator[Any]:
            for one in real(*args, **options):
                self._let.acquire(timeout=20)
                yield one

        return slow

    def let(self, dock: M2DinoDock, frames: int) -> None:
        """Let frames through, each in a handful that is put and looked at before the next."""
        for _ in range(frames):
            before = len(proposed(dock))
            self._let.release()
            self._hand.qtbot.waitUntil(lambda before=before: len(proposed(dock)) > before, timeout=20_000)
            self._hand.qtbot.wait(2 * LOOK_DELAY_MS)

    def open(self) -> None:
        """Let all through."""
        self._let.release(1000)


@pytest.fixture
def gate(hand: Any, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate before what is carried and filled in."""
    gate = Gate(hand)
    for name in ("propagate", "interpolate"):
        monkeypatch.setattr(carrying_module, name, gate.slowed(getattr(carrying_module, name)))
    return gate


@pytest.fixture
def drawn_dock(echo_dock: M2DinoDock, hand: Any, gate: Gate) -> M2DinoDock:
    """A dock with a disc of the person's own on frame 12, and carrying to 3 frames on either side."""
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.workshop.reviewing.moves_on = False
    hand.click(dock.review.new_label)
    desk.go_to(12)
    desk.result.write({12: disc(desk, 100, 150)})
    hand.click(dock.review.accept)
    dock.workshop.hand.carrying.set_reach(3)
    return dock


def proposed(dock: M2DinoDock) -> list[int]:
    """Return the frames that something was carried to or filled in on, and that show it."""
    session, layer = dock.workshop.desk.session, dock.workshop.desk.result.layer
    return [frame for frame in range(30) if session.is_by_hand(frame) and layer.data[frame].any()]


def ended(dock: M2DinoDock, hand: Any) -> None:
    """Wait until nothing is carried or filled in, and all has been looked at."""
    errand = dock.workshop.hand.carrying.errand
    hand.qtbot.waitUntil(lambda: not errand.running, timeout=30_000)
    hand.qtbot.wait(2 * LOOK_DELAY_MS)


def test_one_press_that_carries_is_one_step_and_a_stroke_made_meanwhile_another(
    drawn_dock: M2DinoDock, hand: Any, gate: Gate
) -> None:
    dock, desk = drawn_dock, drawn_dock.workshop.desk
    session, layer = desk.session, desk.result.layer
    press(dock, "G")
    gate.let(dock, 2)
    hand.paint(dock, 13, 20, 20)  # one that has been carried to
    gate.let(dock, 2)
    hand.paint(dock, 25, 60, 60)  # and one that is not
    assert dock.workshop.hand.carrying.errand.running
    painted = layer.data[[13, 25]].copy()
    gate.open()
    ended(dock, hand)
    assert proposed(dock) == [9, 10, 11, 13, 14, 15]
    assert session.unsaved() == [13, 25]

    press(dock, "Control-Z")
    assert "painting on frame 25" in dock.message.text()
    press(dock, "Control-Z")
    assert "painting on frame 13" in dock.message.text()
    assert proposed(dock) == [9, 10, 11, 13, 14, 15], "what was carried is there still"
    assert not layer.data[13, 20, 20]
    press(dock, "Control-Z")
    assert "carried from frame 12, on 6 frames, 9 to 15" in dock.message.text()
    assert proposed(dock) == []
    assert np.flatnonzero(layer.data.any(axis=(1, 2))).tolist() == [12]
    press(dock, "Control-Z")
    assert "accepting frame 12" in dock.message.text(), "nothing of the press is left"

    for _ in range(2):
        press(dock, "Control-Shift-Z")
    assert proposed(dock) == [9, 10, 11, 13, 14, 15]
    assert session.unsaved() == []
    for _ in range(2):
        press(dock, "Control-Shift-Z")
    assert np.array_equal(layer.data[[13, 25]], painted)


def test_a_stroke_just_after_a_handful_is_not_of_the_same_step(drawn_dock: M2DinoDock, hand: Any, gate: Gate) -> None:
    """Between what is put on frames and the next look at them, a person can draw on one of them."""
    dock, desk = drawn_dock, drawn_dock.workshop.desk
    layer, carrying = desk.result.layer, dock.workshop.hand.carrying
    desk.go_to(13)

    def draw() -> None:
        if carrying.errand.running and not layer.data[13, 20, 20]:
            layer.paint((13, 20, 20), 1)

    carrying.arrived.connect(draw)
    desk.go_to(12)
    press(dock, "G")
    desk.go_to(13)
    gate.open()
    ended(dock, hand)
    carrying.arrived.disconnect(draw)
    assert layer.data[13, 20, 20]
    press(dock, "Control-Z")
    assert "painting on frame 13" in dock.message.text()
    assert proposed(dock) == [9, 10, 11, 13, 14, 15]
    press(dock, "Control-Z")
    assert proposed(dock) == []


def test_a_carrying_that_is_cancelled_is_one_step(drawn_dock: M2DinoDock, hand: Any, gate: Gate) -> None:
    dock = drawn_dock
    press(dock, "G")
    gate.let(dock, 3)
    hand.click(dock.edit.cancel)
    gate.open()
    ended(dock, hand)
    assert 3 <= len(proposed(dock)) < 6
    assert "Stopped" in dock.message.text()
    press(dock, "Control-Z")
    assert proposed(dock) == []
    press(dock, "Control-Z")
    assert "accepting frame 12" in dock.message.text()
    # and the next press is a step of its own
    press(dock, "Control-Shift-Z")
    press(dock, "G")
    ended(dock, hand)
    dock.workshop.desk.go_to(15)
    hand.click(dock.review.accept)
    press(dock, "G")
    ended(dock, hand)
    assert proposed(dock) == [9, 10, 11, 13, 14, 15, 16, 17, 18]
    press(dock, "Control-Z")
    assert proposed(dock) == [9, 10, 11, 13, 14, 15]


def test_undone_in_the_middle_a_carrying_ends_and_puts_nothing_more_on_frames(
    drawn_dock: M2DinoDock, hand: Any, gate: Gate
) -> None:
    dock = drawn_dock
    press(dock, "G")
    gate.let(dock, 2)
    press(dock, "Control-Z")
    assert "carried from frame 12" in dock.message.text()
    gate.open()
    ended(dock, hand)
    assert proposed(dock) == []
    assert "Undone" in dock.message.text(), "that is the last word"
    press(dock, "Control-Shift-Z")
    assert proposed(dock) == [13, 14]
    dock.workshop.desk.go_to(12)
    press(dock, "G")
    ended(dock, hand)
    assert proposed(dock) == [9, 10, 11, 13, 14, 15], "it can be asked for again"


def test_filling_in_between_all_is_one_step_also_where_another_task_is_looked_at_meanwhile(
    drawn_dock: M2DinoDock, hand: Any, gate: Gate
) -> None:
    dock, desk = drawn_dock, drawn_dock.workshop.desk
    for frame in (14, 17):
        desk.go_to(frame)
        desk.result.write({frame: disc(desk, 100 + frame, 150)})
        hand.click(dock.review.accept)
    (everywhere,) = [one for one in dock.edit.reach.menu().actions() if "between all" in one.text()]
    task, session = desk.task, desk.session
    everywhere.trigger()
    gate.let(dock, 1)
    desk.choose_task(desk.tasks["breast_2cls"])
    gate.open()
    hand.qtbot.waitUntil(lambda: session.is_by_hand(15), timeout=20_000)
    desk.choose_task(task)
    ended(dock, hand)
    assert proposed(dock) == [13, 15, 16]
    press(dock, "Control-Z")
    assert proposed(dock) == []
    press(dock, "Control-Z")
    assert "accepting frame 17" in dock.message.text()


def test_a_step_grows_where_it_is_and_within_the_memory_of_the_history() -> None:
    def step(place: str, *frames: int) -> Step[str]:
        nothing = Standing(None, None, None)
        return Step(place, place, tuple(Change(frame, nothing, nothing) for frame in frames))

    first, grown, other = step("press", 1), step("press", 1, 2, 3), step("stroke", 9)
    history: History[str] = History(budget=first.size + other.size + grown.size)
    history.add(first)
    history.add(other)
    assert history.replace(first, grown)
    assert history.size == grown.size + other.size
    assert history.next_undo is other
    assert history.undo() is other
    assert not history.replace(first, grown), "it is there no more"
    assert history.replace(grown, step("press", *range(50)))
    assert history.next_redo is other, "what was undone can be done again"
    assert history.next_undo is not None, "the newest step stays, however large"
