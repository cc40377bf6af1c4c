"""Fine-tuning from the window: a child process, the new model chosen, the old one kept; cancel; nothing left behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from m2dino.network.card import read_card
from pytestqt.qtbot import QtBot

from napari_m2dino.improving import Run
from napari_m2dino.widgets.dock import M2DinoDock
from napari_m2dino.widgets.improve_section import outcome

FRAMES = (0, 5, 10, 15, 20, 25)


@pytest.fixture
def corrected(echo_dock: M2DinoDock, hand: Any) -> M2DinoDock:
    """A dock with six frames labelled by hand for a task that the model does not know."""
    desk = echo_dock.workshop.desk
    desk.choose_task(desk.tasks["fetal_heart"])
    assert "4 more frames" in echo_dock.improve.report.text()
    assert not echo_dock.improve.train.isEnabled()
    hand.click(echo_dock.review.new_label)
    for frame in FRAMES:
        hand.paint(echo_dock, frame, 120, 160, size=60)
        hand.click(echo_dock.review.accept)
    hand.all_saved(echo_dock)
    hand.qtbot.waitUntil(lambda: echo_dock.improve.train.isEnabled(), timeout=10_000)
    return echo_dock


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_fine_tune_and_predict_again_with_the_new_model(corrected: M2DinoDock, hand: Any, dataset: Path) -> None:
    dock, desk, improving = corrected, corrected.workshop.desk, corrected.workshop.improving
    old = desk.checkpoint
    assert dock.improve.train.text() == "Fine-tune on 6 frames"
    hand.click(dock.improve.train)
    hand.qtbot.waitUntil(lambda: improving.process.pid > 0, timeout=10_000)
    pid = improving.process.pid
    hand.qtbot.waitUntil(lambda: not improving.running, timeout=240_000)
    hand.qtbot.waitUntil(lambda: desk.checkpoint.path != old.path, timeout=10_000)
    assert gone(pid)
    assert desk.checkpoint.path.parent == dataset / "checkpoints"
    card = read_card(desk.checkpoint.path)
    assert card.parent_id == old.card.id
    assert "fetal_heart" in card.tasks
    assert set(old.card.tasks) < set(card.tasks), "what the old model knew, the new one knows"
    assert len(improving.run.losses) > 1
    assert "held-out frames" in dock.improve.report.text()
    assert old.path in [one.path for one in desk.checkpoints]
    mine = desk.result.layer.data[5].copy()
    hand.predict_all(dock)
    assert desk.session.proposal(3).model_id == card.id
    assert np.array_equal(desk.result.layer.data[5], mine)
    hand.click(dock.improve.back)
    assert desk.checkpoint.path == old.path
    assert not dock.predict.all_frames.isEnabled(), "the old model never learned this task"


def test_cancel_ends_the_child_and_keeps_the_model_in_use(corrected: M2DinoDock, hand: Any) -> None:
    dock, improving = corrected, corrected.workshop.improving
    hand.click(dock.improve.train)
    hand.qtbot.waitUntil(lambda: improving.run is not None and bool(improving.run.losses), timeout=120_000)
    pid = improving.process.pid
    assert pid
    began = time.monotonic()
    hand.click(dock.improve.cancel)
    hand.qtbot.waitUntil(lambda: not improving.running, timeout=10_000)
    assert time.monotonic() - began < 6
    assert gone(pid)
    assert not dock.improve.bar.isVisible()
    assert dock.improve.train.isEnabled(), "it can be started again"


def test_a_training_that_dies_is_told_in_a_sentence(corrected: M2DinoDock, hand: Any) -> None:
    dock, improving = corrected, corrected.workshop.improving
    hand.click(dock.improve.train)
    hand.qtbot.waitUntil(lambda: improving.process.pid > 0, timeout=10_000)
    psutil.Process(improving.process.pid).kill()
    hand.qtbot.waitUntil(lambda: not improving.running, timeout=20_000)
    assert "memory or was killed" in dock.message.text()
    assert "Traceback" not in dock.message.text()


def test_before_and_after_are_told_for_all_tasks() -> None:
    run = Run("a", Path("base"))
    run.before = {"a": {"DSC": {"value": 0.5}}, "b": {"IoU": {"value": 0.7}}, "c": {"MRE": {"value": 9.0}}}
    run.after = {"a": {"DSC": {"value": 0.9}}, "b": {"IoU": {"value": 0.7}}, "c": {"MRE": {"value": 12.0}}}
    run.seconds = 41.6
    text = outcome(run)
    assert text.splitlines()[0] == "Trained in 42 s"
    assert "Dice on held-out frames: 0.50 → 0.90" in text
    assert "c: 9.00 → 12.00" in text


def test_a_new_task_has_no_figure_before(qtbot: QtBot) -> None:
    run = Run("a", Path("base"), after={"a": {"DSC": {"value": 0.9}}})
    assert "not known → 0.90" in outcome(run)
