"""Accepting many predicted frames at once, and carrying that spares what is better, in a real window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import m2dino
import numpy as np
import pytest
from m2dino.correct.trust import agreement
from m2dino.data.store import Store
from m2dino.tasks import load_tasks
from m2dino.values import Mask, Prediction
from pydicom.examples import get_path
from qtpy.QtGui import QAction

from napari_m2dino.accepting import LEAST_JUDGED, offers, suggested
from napari_m2dino.applying import propose
from napari_m2dino.model_trust import Trust, judgements
from napari_m2dino.origins import Origin, carried_from, origin_of
from napari_m2dino.session import FrameState, LoopSession
from napari_m2dino.widgets.dock import M2DinoDock


def disc(radius: int) -> Mask:
    """Return a disc in the middle of a frame of the echo, 240 x 320."""
    rows, columns = np.mgrid[:240, :320] - np.array([120, 160])[:, None, None]
    return Mask((rows**2 + columns**2 <= radius**2).astype(np.uint8))


MODELS, OTHER = disc(40), disc(20)
"""What the model proposed on every frame, and something far from it."""


@pytest.fixture
def proposed(echo_dock: M2DinoDock) -> M2DinoDock:
    """A dock with a disc proposed on every frame, surer from frame to frame: 0.61, 0.62 … 0.90."""
    desk = echo_dock.workshop.desk
    echo_dock.review.new_label.click()
    made = [Prediction(i, desk.task.id, MODELS, 0.61 + i / 100, "model-1") for i in range(30)]
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
    propose(desk.result, [Prediction(27, desk.task.id, disc(30), 0.99, carried_from(26))])
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
    assert all(record.value == MODELS for record in saved)
    assert not entries(dock), "nothing is left to accept together"
    assert not dock.review.together.button.isEnabled()
    dock.workshop.reviewing.undo()
    hand.all_saved(dock)
    assert desk.session.states()[:27] == [FrameState.PROPOSED] * 27, "one step takes all of them back"
    assert desk.session.state(28) is FrameState.REJECTED
    with Store.open(dataset) as store:
        assert [record.fate for record in store.records()] == ["rejected"]


@pytest.fixture
def session() -> LoopSession:
    """A session without a window, with the same proposals."""
    session = LoopSession(m2dino.open_loop(get_path("ybr_color")), load_tasks()["breast_lesion"])
    for frame in range(30):
        session.propose(Prediction(frame, "breast_lesion", MODELS, 0.61 + frame / 100, "model-1"))
    return session


def judge(session: LoopSession, frames: range, value: Mask, seconds: float = 2.0) -> None:
    for frame in frames:
        session.settle(replace(session.accept(frame, value), seconds=seconds))


def test_nothing_is_suggested_before_enough_was_judged_one_by_one(session: LoopSession) -> None:
    for count in range(LEAST_JUDGED):
        assert suggested(offers(session)) is None
        judge(session, range(10 + count, 11 + count), MODELS)
    best = suggested(offers(session))
    assert best is not None
    assert (best.judged, best.kept) == (LEAST_JUDGED, LEAST_JUDGED)
    # Eight frames from 0.71 up stayed unchanged; those below 0.71 that wait have only the same eight to speak for them.
    assert best.threshold <= 0.71


def test_frames_that_had_to_be_changed_raise_the_threshold(session: LoopSession) -> None:
    judge(session, range(8), OTHER)  # 0.61 to 0.68 were wrong
    judge(session, range(12, 12 + LEAST_JUDGED), MODELS)
    best = suggested(offers(session))
    assert best is not None
    assert best.threshold > 0.68
    assert set(best.frames) == set(range(8, 12)) | set(range(12 + LEAST_JUDGED, 30))


def test_frames_accepted_unseen_are_no_evidence_but_quick_corrections_are(session: LoopSession) -> None:
    judge(session, range(20), MODELS, seconds=0.0)
    assert suggested(offers(session)) is None
    judge(session, range(20, 22), OTHER, seconds=0.0)
    assert {(offer.judged, offer.kept) for offer in offers(session)} == {(2, 0), (0, 0)}


def test_frames_accepted_unseen_say_nothing_of_the_model_to_carrying(session: LoopSession) -> None:
    judge(session, range(20), MODELS, seconds=0.0)
    judge(session, range(20, 22), OTHER)
    trust = Trust()
    trust.learn(judgements(session, 22, OTHER))
    assert trust.models["model-1"] == pytest.approx(agreement(MODELS, OTHER))


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
    desk.result.write({15: OTHER})
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
