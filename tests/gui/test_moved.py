"""Loops that were moved since: asked for in the window, and known by their content."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.cine import open_loop
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.tasks import builtin_tasks
from m2dino.values import Box, Mask
from pydicom.examples import get_path

from napari_m2dino.widgets.dock import M2DinoDock

TASK, OTHER = "carotid_artery", "thyroid_nodule_det"


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A real cine of 30 frames in a place that it can be moved from."""
    place = tmp_path / "loops" / "echo.dcm"
    place.parent.mkdir()
    shutil.copy(str(get_path("ybr_color")), place)
    return place


def labelled(dataset: Path, loop_path: Path, frames: range, task_id: str = TASK) -> None:
    """Save labels of frames of a loop."""
    loop = open_loop(loop_path)
    mask = np.zeros((loop.height, loop.width), np.uint8)
    mask[80:160, 100:200] = 1
    value = Mask(mask) if task_id == TASK else Box(80, 100, 160, 200)
    with Store.open(dataset, create=True) as store:
        for frame in frames:
            store.save(Record(loop.identity, frame, task_id, "edited", value), loop[frame], builtin_tasks()[task_id])


def opened(dock: M2DinoDock, path: Path, hand: Any) -> None:
    desk = dock.workshop.desk
    dock.workshop.open_loop(path)
    hand.qtbot.waitUntil(lambda: desk.loop is not None, timeout=10_000)
    desk.choose_task(desk.tasks[TASK])


def test_the_loop_of_the_last_session_is_found_where_it_was_moved_to(
    open_dock: Callable[[], M2DinoDock], echo: Path, hand: Any, choose: Callable[[Path], None], tmp_path: Path
) -> None:
    first = open_dock()
    opened(first, echo, hand)
    identity = first.workshop.desk.loop.identity
    hand.predict_all(first)
    first.workshop.reviewing.moves_on = False
    first.workshop.desk.go_to(9)
    hand.click(first.review.accept)
    hand.all_saved(first)
    hand.qtbot.wait(1000)
    first.viewer.close()
    moved = tmp_path / "archive" / "2024" / "A 17"
    moved.parent.mkdir(parents=True)
    echo.rename(moved)
    (tmp_path / "empty").mkdir()

    second = open_dock()
    bar, desk = second.resume, second.workshop.desk
    assert bar.isVisible()
    assert "not at its place any more" in bar.words.text()
    assert not bar.go.isVisible()
    choose(tmp_path / "empty")
    hand.click(bar.where)
    hand.qtbot.waitUntil(lambda: "not in this folder" in second.message.text(), timeout=10_000)
    assert bar.isVisible()
    choose(tmp_path / "archive")
    hand.click(bar.where)
    hand.qtbot.waitUntil(lambda: desk.loop is not None and desk.session is not None, timeout=20_000)
    assert (desk.loop.identity, desk.loop.path) == (identity, moved)
    hand.qtbot.waitUntil(lambda: desk.frame == 9 and desk.session.is_decided(9), timeout=20_000)
    assert desk.task.id == TASK
    assert not bar.isVisible()


def test_another_loop_at_its_place_leads_to_the_question_too(
    open_dock: Callable[[], M2DinoDock], echo: Path, hand: Any, choose: Callable[[Path], None], tmp_path: Path
) -> None:
    first = open_dock()
    opened(first, echo, hand)
    identity = first.workshop.desk.loop.identity
    hand.qtbot.wait(1000)
    first.viewer.close()
    moved = tmp_path / "elsewhere.dcm"
    echo.rename(moved)
    shutil.copy(str(get_path("rgb_color")), echo)

    second = open_dock()
    desk = second.workshop.desk
    hand.click(second.resume.go)
    hand.qtbot.waitUntil(lambda: "Another loop lies where" in second.message.text(), timeout=20_000)
    assert second.resume.isVisible()
    choose(tmp_path)
    hand.click(second.resume.where)
    hand.qtbot.waitUntil(lambda: desk.loop is not None and desk.loop.identity == identity, timeout=20_000)


def test_pictures_that_the_folder_lost_come_back_from_the_loop(
    open_dock: Callable[[], M2DinoDock],
    echo: Path,
    hand: Any,
    choose: Callable[[Path], None],
    dataset: Path,
    tmp_path: Path,
) -> None:
    labelled(dataset, echo, range(0, 30, 5))
    pictures = {file.name: file.read_bytes() for file in (dataset / "frames").iterdir()}
    shutil.rmtree(dataset / "frames")
    dock = open_dock()
    improve = dock.improve
    opened(dock, echo, hand)
    hand.qtbot.waitUntil(lambda: improve.where.isVisible(), timeout=20_000)
    assert "The pictures of 6 labelled frames have gone" in improve.report.text()
    assert not improve.train.isEnabled()
    (tmp_path / "empty").mkdir()
    choose(tmp_path / "empty")
    hand.click(improve.where)
    hand.qtbot.waitUntil(lambda: "still missing" in dock.message.text(), timeout=20_000)
    hand.qtbot.waitUntil(lambda: improve.where.isEnabled(), timeout=20_000)
    choose(tmp_path / "loops")
    hand.click(improve.where)
    hand.qtbot.waitUntil(lambda: improve.train.isEnabled(), timeout=20_000)
    assert "6 pictures of 1 loop brought back" in dock.message.text()
    assert not improve.where.isVisible()
    assert {file.name: file.read_bytes() for file in (dataset / "frames").iterdir()} == pictures


def test_learning_together_with_others_is_chosen_here_and_refused_with_a_reason(
    open_dock: Callable[[], M2DinoDock], echo: Path, hand: Any, dataset: Path
) -> None:
    labelled(dataset, echo, range(0, 30, 5))
    dock = open_dock()
    improve, improving = dock.improve, dock.workshop.improving
    opened(dock, echo, hand)
    hand.qtbot.waitUntil(lambda: "Will train on" in improve.plan.text(), timeout=30_000)
    assert improve.form.currentData() == "isolated"
    assert "no other task can change" in improve.differs.text()

    hand.choose_form(dock, "shared")
    hand.qtbot.waitUntil(lambda: "four or more frames of another task" in improve.report.text(), timeout=20_000)
    assert not improve.train.isEnabled()
    assert improve.form.isVisible(), "there is a way back"
    hand.choose_form(dock, "isolated")
    hand.qtbot.waitUntil(lambda: improve.train.isEnabled() and bool(improve.plan.text()), timeout=20_000)
    hand.choose_form(dock, "shared")
    hand.qtbot.waitUntil(lambda: not improve.train.isEnabled(), timeout=20_000)
    labelled(dataset, echo, range(1, 30, 5), OTHER)
    improving.foresight.ask_again()
    hand.qtbot.waitUntil(lambda: OTHER in improve.differs.text(), timeout=20_000)
    assert "measured before and after" in improve.differs.text()
    assert "2 more tasks of the model can change unseen" in improve.differs.text()
    # A short trial of this form tells how long it will take.
    hand.qtbot.waitUntil(lambda: "; about " in improve.plan.text(), timeout=90_000)
    assert "not measured" not in improve.plan.text()
    hand.qtbot.waitUntil(lambda: improve.train.isEnabled(), timeout=20_000)
    hand.click(improve.train)
    hand.qtbot.waitUntil(lambda: improving.run is not None and improving.run.train > 0, timeout=60_000)
    assert improving._job.arguments()[improving._job.arguments().index("--form") + 1] == "shared"
    hand.click(improve.cancel)
    hand.qtbot.waitUntil(lambda: not improving.running, timeout=30_000)
