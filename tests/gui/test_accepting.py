"""Accepting many predicted frames at once, and carrying that spares what is better, in a real window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.store import Store
from m2dino.values import Mask, Prediction
from qtpy.QtGui import QAction

from napari_m2dino.accepting import LEAST_JUDGED, offers, suggested
from napari_m2dino.applying import propose
from napari_m2dino.origins import Origin, carried_from, origin_of
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.dock import M2DinoDock


def disc(dock: M2DinoDock, y: int = 120, x: int = 160, radius: int = 40) -> Mask:
    loop = dock.workshop.desk.loop
    rows, columns = np.mgrid[: loop.height, : loop.width]
    return Mask(((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8))


@pytest.fixture
def proposed(echo_dock: M2DinoDock) -> M2DinoDock:
    """A dock with a disc proposed on every frame, surer from frame to frame: 0.61, 0.62 … 0.90."""
    desk = echo_dock.workshop.desk
    echo_dock.review.new_label.click()
    made = [Prediction(i, desk.task.id, disc(echo_dock), 0.61 + i / 100, "model-1") for i in range(30)]
    assert propose(desk.result, made) == []
    echo_dock.review.moves_on.setChecked(False)
    return echo_dock


def entries(dock: M2DinoDock) -> dict[str, QAction]:
    """Open the button's menu and return what can be chosen in it."""
    together = dock.review.together
    together.fill()
    return {action.text(): action for action in together.menu.actions() if action.isEnabled() and action.text()}


def test_many_are_accepted_as_one_step_and_nothing_a_person_touched(
    proposed: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = proposed, proposed.workshop.desk
    hand.paint(dock, 29, 30, 30)
    desk.go_to(28)
    hand.click(dock.review.reject)
    propose(desk.result, [Prediction(27, desk.task.id, disc(dock, radius=30), 0.99, carried_from(26))])
    (text,) = [text for text in entries(dock) if text.startswith("Accept 27 frames from 0.61")]
    entries(dock)[text].trigger()
    hand.all_saved(dock)
    states = desk.session.states()
    assert states[:27] == [FrameState.ACCEPTED] * 27
    assert states[27:] == [FrameState.PROPOSED, FrameState.REJECTED, FrameState.CHANGED]
    assert "without a look at each" in dock.message.text()
    with Store.open(dataset) as store:
        saved = [record for record in store.records() if record.fate == "accepted"]
    assert sorted(record.frame for record in saved) == list(range(27))
    assert {record.seconds for record in saved} == {0.0}, "nobody has spent any time on them"
    assert all(record.value == disc(dock) for record in saved)
    assert not entries(dock), "nothing is left to accept together"
    assert not dock.review.together.button.isEnabled()
    dock.workshop.reviewing.undo()
    hand.all_saved(dock)
    assert desk.session.states()[:27] == [FrameState.PROPOSED] * 27, "one step takes all of them back"
    assert desk.session.state(28) is FrameState.REJECTED
    with Store.open(dataset) as store:
        assert [record.fate for record in store.records()] == ["rejected"]


def test_nothing_is_suggested_before_enough_was_judged_one_by_one(proposed: M2DinoDock) -> None:
    session = proposed.workshop.desk.session
    assert suggested(offers(session)) is None
    assert proposed.review.together.button.text() == "Accept more…"
    for count, frame in enumerate(range(10, 10 + LEAST_JUDGED), start=1):
        session.settle(replace(session.accept(frame, disc(proposed)), seconds=2.0))
        assert (suggested(offers(session)) is not None) == (count == LEAST_JUDGED)
    best = suggested(offers(session))
    assert best is not None
    assert (best.judged, best.kept) == (LEAST_JUDGED, LEAST_JUDGED)
    # Eight frames from 0.71 up stayed unchanged; those below 0.71 that wait have only the same eight to speak for them.
    assert best.threshold <= 0.71
    proposed.review.refresh()
    assert proposed.review.together.button.text() == f"Accept {len(best.frames)} more…"


def test_frames_that_had_to_be_changed_raise_the_threshold(proposed: M2DinoDock) -> None:
    session = proposed.workshop.desk.session
    for frame in range(8):  # 0.61 to 0.68 were wrong
        session.settle(replace(session.accept(frame, disc(proposed, radius=20)), seconds=2.0))
    for frame in range(12, 12 + LEAST_JUDGED):
        session.settle(replace(session.accept(frame, disc(proposed)), seconds=2.0))
    best = suggested(offers(session))
    assert best is not None
    assert best.threshold > 0.68
    assert set(best.frames) == set(range(8, 12)) | set(range(12 + LEAST_JUDGED, 30))


def test_frames_accepted_unseen_are_no_evidence(proposed: M2DinoDock) -> None:
    session = proposed.workshop.desk.session
    for frame in range(20):
        session.settle(replace(session.accept(frame, disc(proposed)), seconds=0.0))
    assert suggested(offers(session)) is None


def test_carrying_leaves_a_model_alone_whose_labels_a_person_kept(proposed: M2DinoDock, hand: Any) -> None:
    dock, desk, carrying = proposed, proposed.workshop.desk, proposed.workshop.hand.carrying
    for frame in (13, 14, 15):
        desk.go_to(frame)
        hand.click(dock.review.accept)
    carrying.set_reach(4)
    hand.click(dock.edit.carry)
    hand.qtbot.waitUntil(lambda: not carrying.errand.running, timeout=30_000)
    hand.qtbot.wait(100)
    assert {desk.session.maker(frame) for frame in range(30)} == {"model-1"}
    assert "what had been proposed stays" in dock.message.text()
    # Asked for all the same, it does.
    carrying.set_over_model(True)
    hand.click(dock.edit.carry)
    hand.qtbot.waitUntil(lambda: not carrying.errand.running, timeout=30_000)
    hand.qtbot.wait(100)
    assert origin_of(desk.session.maker(16)) is Origin.CARRIED


def test_carrying_replaces_a_model_whose_labels_had_to_be_changed_much(proposed: M2DinoDock, hand: Any) -> None:
    dock, desk, carrying = proposed, proposed.workshop.desk, proposed.workshop.hand.carrying
    desk.go_to(15)
    desk.result.write({15: disc(dock, radius=20)})
    hand.click(dock.review.accept)
    carrying.set_reach(4)
    hand.click(dock.edit.carry)
    hand.qtbot.waitUntil(lambda: not carrying.errand.running, timeout=30_000)
    hand.qtbot.wait(100)
    assert origin_of(desk.session.maker(16)) is Origin.CARRIED
    assert desk.session.state(15) is FrameState.EDITED


def test_nothing_moves_under_the_mouse_while_frames_are_decided(proposed: M2DinoDock, hand: Any) -> None:
    dock, desk = proposed, proposed.workshop.desk
    places = set()

    def look() -> None:
        hand.qtbot.wait(50)
        button = dock.review.accept
        places.add(button.mapTo(dock.review, button.rect().topLeft()).y())

    look()
    for frame in (3, 4):
        desk.go_to(frame)
        look()
        hand.click(dock.review.accept)
        look()
    hand.paint(dock, 9, 30, 30)
    look()
    hand.click(dock.review.accept)
    look()
    desk.go_to(12)
    hand.click(dock.review.reject)
    look()
    assert len(places) == 1
    long = "8 of 28 in the queue; " + "a reason that takes many words, " * 9 + "the end"
    hand.all_saved(dock)
    dock.review.why.say(long)
    assert dock.review.why.toolTip() == long, "what has no room is in the tooltip"
    look()
    assert len(places) == 1
