"""Fine-tuning from the window: a child process, the new model chosen, the old one kept; cancel; nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from m2dino.lineage import read_lineage
from m2dino.network.card import read_card
from m2dino.network.card_file import rewrite_card
from m2dino.training.task_rows import Span, TaskRow
from pydicom.examples import get_path
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from napari_m2dino.training_process import report_folder
from napari_m2dino.training_run import Run, outcome
from napari_m2dino.widgets.dock import M2DinoDock
from napari_m2dino.widgets.style import Words
from napari_m2dino.widgets.task_bars import HARM, colour_of
from tests.synthetic import TASKS, make_root

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


def trained(dock: M2DinoDock, hand: Any) -> Path:
    """Fine-tune, and wait until its outcome is shown whole; return the new checkpoint."""
    improving = dock.workshop.improving
    hand.click(dock.improve.train)
    hand.qtbot.waitUntil(lambda: improving.process.pid > 0, timeout=10_000)
    pid = improving.process.pid
    hand.qtbot.waitUntil(lambda: not improving.running, timeout=240_000)
    assert gone(pid)
    assert improving.run is not None, dock.message.text()
    hand.qtbot.waitUntil(lambda: improving.run.report is not None, timeout=20_000)
    hand.qtbot.waitUntil(lambda: dock.improve.outcome.promote.isEnabled(), timeout=20_000)
    return improving.run.checkpoint


def in_view(dock: M2DinoDock, widget: QWidget) -> bool:
    """Whether all of a widget can be seen in the dock's scroll area."""
    view = dock.area.viewport()
    top = widget.mapTo(dock.area.widget(), QPoint(0, 0)).y() - dock.area.verticalScrollBar().value()
    return widget.isVisible() and top >= 0 and top + widget.height() <= view.height()


def cut_words(dock: M2DinoDock) -> list[str]:
    """Return the texts in Improve that have less room than they need."""
    return [
        words.text()
        for words in dock.improve.findChildren(Words)
        if words.isVisible() and words.height() < words.heightForWidth(words.width())
    ]


def test_the_button_says_beforehand_what_it_will_do(corrected: M2DinoDock, hand: Any) -> None:
    improve = corrected.improve
    hand.qtbot.waitUntil(lambda: "Will train on" in improve.plan.text(), timeout=30_000)
    assert "task fetal_heart" in improve.plan.text()
    assert "held out" in improve.plan.text()
    assert "Advice: this task alone (isolated form)" in improve.advice.text()
    assert "no other task" in improve.advice.text()


def test_fine_tune_promote_and_roll_back(corrected: M2DinoDock, hand: Any, dataset: Path) -> None:
    """The new model is used once it is promoted: on the loop on screen at once, but on nothing that a person did."""
    dock, desk, improve = corrected, corrected.workshop.desk, corrected.improve
    predicting, old = dock.workshop.predicting, desk.checkpoint
    assert improve.train.text() == "Fine-tune on 6 frames"
    new = trained(dock, hand)
    assert new.parent == dataset / "checkpoints"
    assert desk.checkpoint.path == old.path, "nothing is used unasked"
    hand.qtbot.waitUntil(lambda: bool(predicting.device), timeout=20_000)  # the model is not "loading…" for ever
    card = read_card(new)
    assert card.parent_id == old.card.id
    assert set(old.card.tasks) < set(card.tasks), "what the old model knew, the new one knows"
    run, outcome_view = dock.workshop.improving.run, improve.outcome
    assert len(run.losses) > 1
    assert run.metric
    assert [row.task for row in outcome_view.bars.rows] == ["fetal_heart"]
    assert outcome_view.frames.isVisible()
    assert outcome_view.usage.isVisible()
    assert outcome_view.usage.after.gates
    assert outcome_view.usage.after.own
    assert not improve.back.isVisible(), "there is nothing to go back to yet"
    mine = {frame: desk.result.layer.data[frame].copy() for frame in FRAMES}
    hand.click(outcome_view.promote)
    hand.qtbot.waitUntil(lambda: desk.checkpoint.path == new, timeout=20_000)
    hand.qtbot.waitUntil(lambda: desk.session.proposal(3) is not None, timeout=60_000)
    hand.qtbot.waitUntil(lambda: not predicting.running, timeout=60_000)
    assert desk.session.proposal(3).model_id == card.id
    assert all(np.array_equal(desk.result.layer.data[frame], value) for frame, value in mine.items())
    assert read_lineage(dataset).in_use.file == new
    foresight = dock.workshop.improving.foresight
    hand.qtbot.waitUntil(lambda: foresight.found is not None, timeout=20_000)
    foresight._found = None
    assert dock.workshop.improving.base == old.path, "never from its last model, however early the button is pressed"
    assert outcome_view.promote.text() == "In use"
    assert not outcome_view.promote.isEnabled()
    hand.click(improve.back)
    hand.qtbot.waitUntil(lambda: desk.checkpoint.path == old.path, timeout=20_000)
    assert read_lineage(dataset).in_use.file == old.path
    assert not dock.predict.all_frames.isEnabled(), "the old model never learned this task"
    assert outcome_view.promote.isEnabled(), "it can be taken again"


def test_what_was_asked_before_another_task_was_chosen_is_known_when_it_is_chosen_again(
    corrected: M2DinoDock, hand: Any
) -> None:
    desk, foresight = corrected.workshop.desk, corrected.workshop.improving.foresight
    hand.qtbot.waitUntil(lambda: foresight.found is not None, timeout=20_000)
    foresight.ask_again()
    hand.qtbot.waitUntil(lambda: foresight._asked is not None, timeout=5_000)  # asked, not answered
    desk.choose_task(desk.tasks["carotid_artery"])
    hand.qtbot.wait(2000)
    desk.choose_task(desk.tasks["fetal_heart"])
    hand.qtbot.waitUntil(lambda: foresight.found is not None, timeout=20_000)


def test_the_outcome_is_there_again_another_day_and_no_line_is_cut(
    corrected: M2DinoDock, hand: Any, open_dock: Callable[[], M2DinoDock]
) -> None:
    window = corrected.window()
    assert window is not None
    window.resize(1280, 900)
    trained(corrected, hand)
    pictures = corrected.improve.outcome.frames.pictures
    for height in (900, 700):
        window.resize(1280, height)
        corrected._show_training()
        hand.qtbot.waitUntil(lambda: in_view(corrected, corrected.improve.outcome.promote), timeout=5000)
        assert in_view(corrected, corrected.improve.outcome.aside)
        hand.qtbot.waitUntil(lambda: cut_words(corrected) == [], timeout=5000)
        hand.qtbot.waitUntil(lambda: pictures.height() >= pictures.width() // 3, timeout=5000)  # three squares
    corrected.workshop.close()
    later = open_dock()
    later.workshop.open_loop(Path(str(get_path("ybr_color"))))
    desk = later.workshop.desk
    hand.qtbot.waitUntil(lambda: desk.loop is not None, timeout=10_000)
    desk.choose_task(desk.tasks["fetal_heart"])
    hand.qtbot.waitUntil(lambda: later.improve.outcome.frames.isVisible(), timeout=20_000)
    assert "not decided on yet" in later.improve.outcome.words.text()
    hand.qtbot.waitUntil(lambda: later.improve.outcome.aside.isEnabled(), timeout=20_000)
    hand.click(later.improve.outcome.aside)
    hand.qtbot.waitUntil(lambda: later.improve.outcome.aside.text() == "Kept aside", timeout=20_000)


def answer(qtbot: QtBot, text: str, seen: list[str]) -> None:
    """Press a button of the question that comes up next, and note what it asked."""

    def press() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(50, press)
            return
        seen.append(box.text())
        next(one for one in box.buttons() if one.text() == text).click()

    QTimer.singleShot(50, press)


def test_a_model_that_harms_is_used_by_a_deliberate_act_only(
    corrected: M2DinoDock, hand: Any, dataset: Path, checkpoint: Path
) -> None:
    harmed = dataset / "checkpoints" / "harmed.safetensors"
    harmed.parent.mkdir(exist_ok=True)
    shutil.copy(checkpoint, harmed)
    card = read_card(harmed)
    training = {"task": "fetal_heart", "form": "shared", "harmed": ["FUGC"], "changes": {}}
    rewrite_card(harmed, replace(card, id="test-harmed", parent_id=card.id, training=training))
    promoting, asked = corrected.workshop.promoting, list[str]()
    corrected.improve.show_models()
    dialog = corrected.improve._dialog
    hand.qtbot.waitUntil(lambda: dialog.table.rowCount() > 0, timeout=10_000)
    place = [one.id for one in promoting.line.models].index("test-harmed")
    dialog.table.selectRow(place)
    assert "FUGC became worse" in dialog.note.text()
    assert dialog.promote.text() == "Promote despite harm…"
    answer(hand.qtbot, "Do not use it", asked)
    hand.click(dialog.promote)
    assert "FUGC became worse" in asked[0]
    assert read_lineage(dataset).in_use is None
    answer(hand.qtbot, "Use it despite harm", asked)
    hand.click(dialog.promote)
    hand.qtbot.waitUntil(lambda: corrected.workshop.desk.checkpoint.path == harmed, timeout=20_000)
    assert read_lineage(dataset).in_use.file == harmed
    assert "FUGC became worse" in read_card(harmed).limits
    dialog.close()


def test_an_outcome_is_there_again_when_its_task_is_chosen_again(
    corrected: M2DinoDock, hand: Any, dataset: Path, tmp_path: Path
) -> None:
    """Until it is decided on; and it is of one dataset folder, not of the next."""
    first = trained(corrected, hand)
    improving, desk = corrected.workshop.improving, corrected.workshop.desk
    other = first.with_name("other.safetensors")
    shutil.copy(first, other)
    card = read_card(other)
    rewrite_card(other, replace(card, id="test-other", training={**card.training, "task": "carotid_artery"}))
    shutil.copytree(report_folder(first), report_folder(other))
    data = report_folder(other) / "comparison.json"
    data.write_text(json.dumps({**json.loads(data.read_text()), "task": "carotid_artery"}))
    corrected.workshop.promoting.refresh()
    for task, file in (("carotid_artery", other), ("fetal_heart", first)):
        desk.choose_task(desk.tasks[task])
        hand.qtbot.waitUntil(
            lambda file=file: improving.run is not None and improving.run.checkpoint == file, timeout=20_000
        )
    assert corrected.improve.outcome.promote.isVisible()
    corrected.workshop.move_dataset(tmp_path / "another")
    hand.qtbot.waitUntil(lambda: improving.run is None, timeout=20_000)
    assert not corrected.improve.outcome.promote.isVisible()


def test_other_tasks_are_replayed_from_a_folder_of_labelled_data(
    corrected: M2DinoDock, hand: Any, choose: Callable[[Path], None], tmp_path: Path
) -> None:
    """Learning together is refused while nothing keeps the others, and they are measured once something does."""
    improve, improving = corrected.improve, corrected.workshop.improving
    others = sorted(corrected.workshop.desk.checkpoint.card.tasks.keys() & set(TASKS.values()))
    assert len(others) > 1
    assert not improve.labelled.isVisible()
    hand.choose_form(corrected, "shared")
    hand.qtbot.waitUntil(lambda: "add labelled data" in improve.report.text(), timeout=20_000)
    assert not improve.train.isEnabled()
    empty = tmp_path / "empty"
    empty.mkdir()
    choose(empty)
    hand.click(improve.labelled)
    hand.qtbot.waitUntil(lambda: "csv_files" in improve.report.text(), timeout=20_000)
    hand.click(improve.labelled)  # without it again
    hand.qtbot.waitUntil(lambda: "add labelled data" in improve.report.text(), timeout=20_000)
    root = make_root(tmp_path / "labelled")
    choose(root)
    hand.click(improve.labelled)
    hand.qtbot.waitUntil(lambda: f"while {', '.join(others)} are replayed" in improve.differs.text(), timeout=20_000)
    assert "labelled" in improve.labelled.text()
    assert improve.train.isEnabled()
    hand.click(improve.train)
    hand.qtbot.waitUntil(lambda: improving.run is not None and improving.run.text != "Starting…", timeout=60_000)
    words = psutil.Process(improving.process.pid).cmdline()
    assert words[words.index("--form") + 1] == "shared"
    assert words[words.index("--replay") + 1] == str(root)
    # It learns, so the other tasks were found and measured: without them it would have refused.
    hand.qtbot.waitUntil(lambda: improving.run is not None and bool(improving.run.losses), timeout=120_000)
    hand.click(improve.cancel)
    hand.qtbot.waitUntil(lambda: not improving.running, timeout=20_000)


def test_cancel_ends_the_child_and_keeps_the_model_in_use(corrected: M2DinoDock, hand: Any) -> None:
    dock, improving = corrected, corrected.workshop.improving
    hand.click(dock.improve.train)
    hand.qtbot.waitUntil(lambda: improving.run is not None and bool(improving.run.losses), timeout=120_000)
    pid = improving.process.pid
    assert pid
    if os.name == "posix":
        assert psutil.Process(pid).nice() > psutil.Process().nice(), "the window comes first"
    began = time.monotonic()
    hand.click(dock.improve.cancel)
    hand.qtbot.waitUntil(lambda: not improving.running, timeout=10_000)
    assert time.monotonic() - began < 6, "2 s where nobody else uses the processor"
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


def row(task: str, before: float | None, after: float, *, harmed: bool = False) -> TaskRow:
    return TaskRow(task, "DSC", None if before is None else Span(before), Span(after), None, harmed=harmed)


def test_before_and_after_are_told_for_all_tasks() -> None:
    run = Run("a", Path("base"), rows=[row("a", 0.5, 0.9), row("b", 0.9, 0.8, harmed=True), row("c", 0.7, 0.7)])
    run.seconds = 41.6
    assert outcome(run) == "Trained in 42 s. 2 other tasks measured, 1 worse."
    assert run.rows[0].text() == "Dice 0.50 → 0.90"
    assert colour_of(run.rows[1]) == HARM
    run = Run("a", Path("base"), rows=[row("a", None, 0.9)], unchanged=8, seconds=60, stopped=True)
    assert "8 other tasks: unchanged" in outcome(run)
    assert "stopped early" in outcome(run)
    assert run.rows[0].text() == "Dice not known → 0.90"
    run = Run("a", Path("base"), rows=[row("a", 0.5, 0.9), row("b", 0.9, 0.8, harmed=True)], unchanged=8)
    assert "8 other tasks: unchanged, for only this one learned. 1 other task measured, 1 worse." in outcome(run)
    assert "Nothing was held out" in outcome(Run("a", Path("base")))
    assert "stopped early. It was not measured" in outcome(Run("a", Path("base"), stopped=True))
