"""Accepting several predicted frames at once: which ones, what speaks for it, and one step back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.store import Store
from m2dino.values import Prediction

from napari_m2dino.accepting import LEAST_JUDGED, offers, suggested
from napari_m2dino.applying import propose
from napari_m2dino.origins import carried_from
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.dock import M2DinoDock


def choose(dock: M2DinoDock, words: str) -> None:
    """Choose a line of the menu, as it is filled when it opens."""
    dock.review.together.fill()
    next(action for action in dock.review.together.menu.actions() if words in action.text()).trigger()


def test_the_rest_is_accepted_in_one_step_and_what_is_a_persons_stays(
    echo_dock: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    together = dock.review.together
    assert not together.button.isEnabled()
    hand.predict_all(dock)
    session = desk.session
    assert suggested(offers(session)) is None
    together.fill()
    assert together.menu.actions()[0].text().startswith("None suggested: that takes 8")
    assert not any("(suggested)" in action.text() for action in together.menu.actions())

    # the least confident first, each looked at
    for _ in range(LEAST_JUDGED):
        assert suggested(offers(session)) is None
        hand.qtbot.wait(150)
        hand.click(dock.review.accept)
    hand.all_saved(dock)
    rest = [frame for frame in range(30) if session.state(frame) is FrameState.PROPOSED]
    offer = suggested(offers(session))
    assert offer is not None
    assert list(offer.frames) == rest
    assert (offer.judged, offer.kept) == (LEAST_JUDGED, LEAST_JUDGED)
    assert together.button.text() == "Accept 22 more…"

    # one rejected, one painted on, one carried: not among them
    dock.review.moves_on.setChecked(False)
    desk.go_to(rest[0])
    hand.click(dock.review.reject)
    before = desk.result.layer.data[rest[1]]
    hand.paint(dock, rest[1], 120, 160, 1 - before[120, 160], size=60)
    carried = Prediction(rest[2], desk.task.id, session.proposal(rest[3]).value, 0.99, carried_from(1))
    propose(desk.result, [carried])
    hand.qtbot.wait(150)
    painted = desk.result.layer.data[rest[1]].copy()
    free = rest[3:]
    desk.go_to(rest[0])
    choose(dock, "(suggested)")
    assert [session.state(frame) for frame in rest[:3]] == [
        FrameState.REJECTED,
        FrameState.CHANGED,
        FrameState.PROPOSED,
    ]
    assert {session.state(frame) for frame in free} == {FrameState.ACCEPTED}
    hand.all_saved(dock)
    assert f"{len(free)} frames" in dock.message.text()
    assert "without a look at each" in dock.message.text()
    with Store.open(dataset) as store:
        records = {one.frame: one for one in store.records()}
    assert set(free) <= set(records)
    assert {(records[frame].fate, records[frame].seconds) for frame in free} == {("accepted", 0.0)}
    assert len(session.judged(session.maker(free[0]))) == LEAST_JUDGED + 1, "what nobody has looked at is no evidence"

    # one step back, and forward
    hand.click(dock.review.undo)
    assert {session.state(frame) for frame in free} == {FrameState.PROPOSED}
    assert np.array_equal(desk.result.layer.data[rest[1]], painted)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        assert not set(free) & {one.frame for one in store.records()}
    hand.click(dock.review.redo)
    assert {session.state(frame) for frame in free} == {FrameState.ACCEPTED}
    hand.all_saved(dock)


def test_frames_corrected_speak_against_it(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    dock.review.moves_on.setChecked(False)
    for frame in range(LEAST_JUDGED + 2):
        desk.go_to(frame)
        hand.qtbot.wait(150)
        if frame % 2:
            hand.paint(dock, frame, 120, 160, 1 - desk.result.layer.data[frame, 120, 160], size=60)
        hand.click(dock.review.accept)
    found = offers(desk.session)
    assert found
    assert suggested(found) is None
    assert found[0].kept < found[0].judged
    whole = desk.session.state(15)
    assert whole is FrameState.PROPOSED
    choose(dock, found[0].sentence())  # a person may do it all the same
    assert all(desk.session.state(frame) is FrameState.ACCEPTED for frame in found[0].frames)


@pytest.mark.parametrize("count", [2, 5])
def test_lines_of_the_review_keep_their_height(echo_dock: M2DinoDock, hand: Any, count: int) -> None:
    review, said = echo_dock.review, "12 to review"
    hand.qtbot.wait(100)
    heights = (review.tally.height(), review.why.height())
    review.tally.say(" · ".join([said] * count * 2))
    review.why.say("3 of 38 in the queue")
    hand.qtbot.wait(100)
    assert (review.tally.height(), review.why.height()) == heights
    assert review.tally.text().count(said) == 2 * count
    assert review.tally.toolTip() in ("", review.tally.text())
    review.tally.say("")
    review.why.say("")
    hand.qtbot.wait(100)
    assert (review.tally.height(), review.why.height()) == heights
