"""Why a frame stands where it does in the queue: true after every change, in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from m2dino.queueing.diversity import k_centre
from m2dino.queueing.jumps import jump_of, shape_of
from m2dino.values import Mask
from qtpy.QtCore import Qt

from napari_m2dino.review import ORDERS
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.dock import M2DinoDock
from tests.gui.checkpoint import write_checkpoint


def waiting_frames(dock: M2DinoDock) -> list[int]:
    """Return the frames that nobody has decided on."""
    states = dock.workshop.desk.session.states()
    return [frame for frame, state in enumerate(states) if state in (FrameState.PROPOSED, FrameState.CHANGED)]


def in_order(dock: M2DinoDock, hand: Any, order: str) -> None:
    """Choose an order in the dock, with the keyboard."""
    box = dock.review.order
    box.setFocus()
    hand.qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(list(ORDERS.values()).index(order)):
        hand.qtbot.keyClick(box, Qt.Key.Key_Down)
    assert dock.workshop.reviewing.queue.order == order


def jump_seen(dock: M2DinoDock, frame: int, leave_out: tuple[int, ...] = ()) -> Any:
    """Return how the pixels on a frame differ from those on the frames beside it, worked out from the layer alone."""
    data = dock.workshop.desk.result.layer.data
    beside = [one for one in (frame - 1, frame, frame + 1) if 0 <= one < len(data) and one not in leave_out]
    return jump_of(frame, {one: shape_of(Mask(data[one])) for one in beside}, min(data.shape[1:]))


def check_unsure(dock: M2DinoDock, hand: Any) -> None:
    """Look at every frame: place, number and reason are those that hold now."""
    desk = dock.workshop.desk
    session, waiting = desk.session, waiting_frames(dock)
    ordered = sorted(waiting, key=lambda frame: (session.confidence(frame), frame))
    for frame in range(len(session.loop)):
        desk.go_to(frame)
        said = dock.review.why.text()
        if frame not in waiting:
            assert said == "", f"frame {frame} waits for nothing"
            continue
        assert said.startswith(f"{ordered.index(frame) + 1} of {len(ordered)} in the queue; "), (frame, said)
        number = f"{session.confidence(frame):.2f}"
        assert "confidence" not in dock.review.frame.text(), "once is enough"
        if session.is_by_hand(frame):
            assert "confidence" not in said
        elif session.state(frame) is FrameState.CHANGED:
            assert f"confidence {number} before your change" in said
        else:
            assert f"; confidence {number}" in said


def test_the_reasons_hold_after_every_change(
    echo_dock: M2DinoDock, hand: Any, tmp_path: Path, checkpoint: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    hand.qtbot.wait(150)
    check_unsure(dock, hand)

    desk.go_to(3)
    hand.click(dock.review.accept)
    check_unsure(dock, hand)

    # what is drawn counts, on the frame and for those beside it, and undo takes it back
    in_order(dock, hand, "jump")
    layer, before = desk.result.layer, []
    for frame in (11, 12, 13):
        desk.go_to(frame)
        before.append(dock.review.why.text())
        assert jump_seen(dock, frame).words in before[-1]
    hand.paint(dock, 12, 120, 160, 1 - layer.data[12, 120, 160], size=150)
    for frame, old in zip((11, 12, 13), before, strict=True):
        desk.go_to(frame)
        assert jump_seen(dock, frame).words in dock.review.why.text()
        assert dock.review.why.text() != old
    desk.go_to(12)
    assert dock.review.why.text().startswith(f"1 of {len(waiting_frames(dock))} in the queue")
    in_order(dock, hand, "confidence")
    check_unsure(dock, hand)
    in_order(dock, hand, "jump")
    hand.click(dock.review.undo)
    hand.qtbot.wait(150)
    for frame, old in zip((11, 12, 13), before, strict=True):
        desk.go_to(frame)
        assert dock.review.why.text() == old

    # a rejected frame is no measure
    desk.go_to(12)
    hand.click(dock.review.reject)
    desk.go_to(11)
    assert jump_seen(dock, 11, leave_out=(12,)).words in dock.review.why.text()
    hand.click(dock.review.undo)
    in_order(dock, hand, "confidence")
    check_unsure(dock, hand)

    # frames filled in have a reason of their own, and no confidence
    desk.go_to(7)
    hand.click(dock.review.accept)
    desk.go_to(5)
    hand.click(dock.edit.fill)
    hand.qtbot.waitUntil(lambda: not dock.workshop.hand.carrying.errand.running, timeout=30_000)
    hand.qtbot.wait(150)
    check_unsure(dock, hand)
    desk.go_to(5)
    assert "interpolated between frames 3 and 7" in dock.review.why.text()
    hand.click(dock.review.accept)
    assert "confidence" not in dock.review.frame.text()

    # another model: its numbers, and nothing of the looks that the one before has seen
    in_order(dock, hand, "diversity")
    features = {frame: insight.features for frame, insight in desk.session.insights.items()}
    old = {frame: desk.session.confidence(frame) for frame in range(30)}
    dock.workshop.add_checkpoint(write_checkpoint(tmp_path / "another.safetensors", ["carotid_artery"], seed=7))
    hand.qtbot.waitUntil(
        lambda: desk.checkpoint.path != checkpoint and bool(dock.workshop.predicting.device), timeout=60_000
    )
    hand.predict_all(dock)
    hand.qtbot.wait(150)
    fresh = [frame for frame in waiting_frames(dock) if not desk.session.is_by_hand(frame)]
    assert all(desk.session.confidence(frame) != old[frame] for frame in fresh)
    assert sorted(desk.session.insights) == fresh
    apart = k_centre({frame: desk.session.insights[frame].features for frame in fresh})
    for place, frame in enumerate(apart):
        desk.go_to(frame)
        assert not np.allclose(desk.session.insights[frame].features, features[frame])
        reason = f"differs by {apart[frame]:.3f}" if place else "looks most like the loop as a whole"
        assert dock.review.why.text().startswith(f"{place + 1} of {len(waiting_frames(dock))} in the queue; {reason}")
    in_order(dock, hand, "confidence")
    check_unsure(dock, hand)
