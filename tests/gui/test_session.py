"""What counts as edited, what is protected from a new prediction, and in which order frames are reviewed."""

from __future__ import annotations

import m2dino
import numpy as np
import pytest
from m2dino.errors import UsageError
from m2dino.tasks import load_tasks
from m2dino.values import Box, Mask, Prediction
from pydicom.examples import get_path

from napari_m2dino.review import next_frame, queue, tally
from napari_m2dino.session import FrameState, LoopSession

TASK = load_tasks()["breast_lesion"]


@pytest.fixture
def session() -> LoopSession:
    return LoopSession(m2dino.open_loop(get_path("ybr_color")), TASK)


def mask(*pixels: tuple[int, int]) -> Mask:
    labels = np.zeros((240, 320), np.uint8)
    for y, x in pixels:
        labels[y, x] = 1
    return Mask(labels)


def proposal(frame: int, value: Mask, confidence: float = 0.5) -> Prediction:
    return Prediction(frame, TASK.id, value, confidence, "model-1")


def test_a_frame_goes_through_its_states(session: LoopSession) -> None:
    assert session.state(3) is FrameState.BLANK
    session.propose(proposal(3, mask((5, 5))))
    assert session.look(3, mask((5, 5))) is FrameState.PROPOSED
    assert session.look(3, mask((5, 5), (6, 6))) is FrameState.CHANGED
    assert session.unsaved() == [3]
    assert session.look(3, mask((5, 5))) is FrameState.PROPOSED, "painting back makes it unchanged again"
    record = session.accept(3, mask((5, 5)))
    session.settle(record)
    assert (record.fate, session.state(3)) == ("accepted", FrameState.ACCEPTED)
    assert session.look(3, mask((9, 9))) is FrameState.CHANGED
    again = session.accept(3, mask((9, 9)))
    session.settle(again)
    assert (again.fate, session.state(3)) == ("edited", FrameState.EDITED)
    assert again.proposal is not None
    assert again.proposal.value == mask((5, 5)), "the machine's proposal is kept beside the human value"
    session.settle(session.reject(3))
    assert session.state(3) is FrameState.REJECTED
    assert session.take_back(3).value == mask((5, 5))
    assert session.state(3) is FrameState.PROPOSED


def test_what_a_person_touched_is_protected(session: LoopSession) -> None:
    assert not session.is_protected(0, mask())
    assert session.is_protected(0, mask((1, 1))), "drawn by hand where nothing was predicted"
    session.propose(proposal(1, mask((5, 5))))
    assert not session.is_protected(1, mask((5, 5)))
    assert session.is_protected(1, mask())
    session.settle(session.accept(1, mask((5, 5))))
    assert session.is_protected(1, mask((5, 5)))
    session.settle(session.reject(2))
    assert session.is_protected(2, mask())


def test_nothing_to_accept_is_said(session: LoopSession) -> None:
    with pytest.raises(UsageError, match="Frame 4 has no label yet"):
        session.accept(4, mask())
    with pytest.raises(UsageError, match="thinner than a pixel"):
        session.accept(4, Box(10, 10, 10.2, 50))
    session.propose(proposal(4, mask((5, 5))))
    assert session.accept(4, mask()).fate == "edited", "a proposal rubbed out is a word too: nothing is there"


def test_time_on_a_frame_is_counted_without_the_coffee_break(session: LoopSession) -> None:
    session.watch(0, now=0.0)
    session.watch(1, now=10.0)
    session.watch(0, now=12.0)
    session.watch(None, now=5000.0)
    assert session.seconds(0) == 70.0
    assert session.seconds(1) == 2.0


def test_the_queue_leads_to_the_least_certain_frame_that_waits() -> None:
    blank, proposed, changed, done = FrameState.BLANK, FrameState.PROPOSED, FrameState.CHANGED, FrameState.ACCEPTED
    states = [proposed, done, blank, proposed, changed, proposed]
    confidences = [0.9, 0.1, None, 0.3, 0.5, 0.3]
    assert queue(states, confidences, "confidence") == [3, 5, 4, 0]
    assert queue(states, confidences, "index") == [0, 3, 4, 5]
    assert next_frame(3, states, confidences, "confidence") == 5
    assert next_frame(4, states, confidences, "index") == 5
    assert next_frame(5, states, confidences, "index") == 0, "it goes round"
    assert next_frame(1, [blank, done], [None, None], "confidence") is None
    assert tally(states).to_go == 4
    assert tally(states).sentence() == "3 to review · 1 changed, not accepted · 1 accepted"


def test_the_record_says_which_part_of_the_frame_the_network_is_shown() -> None:
    loop = m2dino.open_loop(get_path("ybr_color"))
    value = Mask(np.ones((loop.height, loop.width), np.uint8))
    region = (4, 8, 100, 120)
    shown: list[tuple[int, int, int, int] | None] = [region]
    one = LoopSession(loop, TASK, lambda _loop: shown[0])
    assert one.accept(0, value).region == region
    assert one.reject(1).region is None
    shown[0] = None
    assert one.accept(2, value).region is None, "as a person chooses the whole frame"
