"""The end: closing the viewer or the dock in the middle of anything leaves no thread, no process, no callback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from m2dino.data.store import Store
from m2dino.tasks import load_tasks
from napari.viewer import Viewer
from pytestqt.qtbot import QtBot

from napari_m2dino.rescue import rescue_folder
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.dock import M2DinoDock


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("m2dino")]


def close_viewer(dock: M2DinoDock) -> None:
    dock.viewer.close()


def close_dock(dock: M2DinoDock) -> None:
    dock.viewer.window.remove_dock_widget(dock)


@pytest.mark.parametrize("close", [close_viewer, close_dock])
def test_closing_while_predicting(echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, close: Callable[..., None]) -> None:
    workshop = echo_dock.workshop
    with qtbot.waitSignal(workshop.predicting.arrived, timeout=30_000):
        hand.click(echo_dock.predict.all_frames)
    assert our_threads()
    close(echo_dock)
    assert workshop.closed
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    qtbot.wait(300)  # late arrivals, if any, meet nobody


@pytest.mark.parametrize("close", [close_viewer, close_dock])
def test_closing_while_carrying_and_measuring(
    echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, close: Callable[..., None]
) -> None:
    workshop = echo_dock.workshop
    echo_dock.measure.arrow.click()
    hand.click(echo_dock.review.new_label)
    hand.paint(echo_dock, 15, 100, 150, size=60)
    hand.click(echo_dock.edit.carry)
    with qtbot.waitSignal(workshop.hand.carrying.arrived, timeout=30_000):
        hand.click(echo_dock.measure.table)
    close(echo_dock)
    assert workshop.closed
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    qtbot.wait(500)  # clocks that still ran would strike now


@pytest.mark.parametrize("close", [close_viewer, close_dock])
def test_closing_while_training(echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, close: Callable[..., None]) -> None:
    workshop, desk = echo_dock.workshop, echo_dock.workshop.desk
    hand.click(echo_dock.review.new_label)
    for frame in (0, 5, 10, 15, 20):
        hand.paint(echo_dock, frame, 120, 160, size=60)
        hand.click(echo_dock.review.accept)
    hand.all_saved(echo_dock)
    qtbot.waitUntil(lambda: echo_dock.improve.train.isEnabled(), timeout=10_000)
    hand.click(echo_dock.improve.train)
    qtbot.waitUntil(lambda: workshop.process.pid > 0, timeout=20_000)
    child = psutil.Process(workshop.process.pid)
    close(echo_dock)
    qtbot.waitUntil(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, timeout=5_000)
    assert not psutil.Process().children(recursive=True) or child.pid not in [
        one.pid for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE
    ]
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    assert desk.checkpoint.path.is_file()


def test_what_was_accepted_just_before_closing_is_saved(echo_dock: M2DinoDock, hand: Any, dataset: Path) -> None:
    hand.predict_all(echo_dock)
    echo_dock.workshop.desk.go_to(7)
    hand.click(echo_dock.review.accept)
    echo_dock.viewer.close()
    with Store.open(dataset) as store:
        assert [record.frame for record in store.records()] == [7]


def test_what_the_folder_had_not_taken_at_the_end_is_saved_at_the_next_start(
    echo_dock: M2DinoDock, hand: Any, dataset: Path, open_dock: Callable[[], M2DinoDock], qtbot: QtBot
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    dataset.write_text("a file where the dataset folder should go: as good as a share that is away")
    for frame in (1, 2):
        desk.go_to(frame)
        hand.click(dock.review.accept)
    hand.paint(dock, 5, 60, 60, 1 - int(desk.result.layer.data[5, 60, 60]))
    painted = desk.result.layer.data[5].copy()
    qtbot.wait(1000)
    dock.viewer.close()
    assert dock.workshop.autosave.waiting == 2
    assert rescue_folder(dataset).is_dir()
    dataset.unlink()

    second = open_dock()
    told: list[str] = []
    desk = second.workshop.desk
    desk.told.connect(lambda message: told.append(message.text))
    hand.click(second.resume.go)
    qtbot.waitUntil(lambda: any("could not be saved at the last end" in one for one in told), timeout=20_000)
    qtbot.waitUntil(lambda: 5 in desk.session.unsaved(), timeout=10_000)
    assert [desk.session.state(frame) for frame in (1, 2, 5)] == [*[FrameState.ACCEPTED] * 2, FrameState.CHANGED]
    assert np.array_equal(desk.result.layer.data[5], painted)
    assert not rescue_folder(dataset).exists()
    with Store.open(dataset) as store:
        assert [record.frame for record in store.records()] == [1, 2]
        assert store.check() == []


def test_a_dock_opened_again_goes_on_where_the_first_left_off(
    echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, checkpoint: Path
) -> None:
    viewer: Viewer = echo_dock.viewer
    hand.predict_all(echo_dock)
    layer = echo_dock.workshop.desk.result.layer
    close_dock(echo_dock)
    again = M2DinoDock(viewer)
    viewer.window.add_dock_widget(again, name="M2DINO again")
    try:
        desk = again.workshop.desk
        assert desk.loop is not None
        desk.choose_task(load_tasks()["carotid_artery"])
        assert desk.result.layer is layer
        assert "30 to review" in again.review.tally.text()
        again.workshop.add_checkpoint(checkpoint)
        qtbot.waitUntil(lambda: desk.checkpoint is not None and desk.checkpoint.path == checkpoint, timeout=20_000)
        hand.paint(again, 4, 100, 100, 1 - int(layer.data[4, 100, 100]))
        mine = layer.data[4].copy()
        hand.predict_all(again)
        assert np.array_equal(layer.data[4], mine)
        assert len([one for one in viewer.layers if one.name == layer.name]) == 1
    finally:
        again.close_down()


def test_what_was_done_before_a_dock_was_closed_is_no_step_of_the_next(
    echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, dataset: Path
) -> None:
    viewer, desk = echo_dock.viewer, echo_dock.workshop.desk
    echo_dock.workshop.reviewing.moves_on = False
    hand.predict_all(echo_dock)
    layer, identity, task_id = desk.result.layer, desk.loop.identity, desk.task.id
    desk.go_to(2)
    hand.click(echo_dock.review.accept)
    desk.go_to(3)
    hand.click(echo_dock.review.reject)
    hand.paint(echo_dock, 4, 60, 60, 1 - layer.data[4, 60, 60])
    hand.click(echo_dock.review.accept)
    hand.paint(echo_dock, 5, 60, 60, 1 - layer.data[5, 60, 60])
    hand.all_saved(echo_dock)
    stood, states = layer.data.copy(), desk.session.states()
    close_dock(echo_dock)
    again = M2DinoDock(viewer)
    viewer.window.add_dock_widget(again, name="M2DINO again")
    try:
        desk = again.workshop.desk
        again.workshop.reviewing.moves_on = False
        desk.choose_task(load_tasks()[task_id])
        assert desk.session.states() == states
        hand.all_saved(again)
        again.workshop.reviewing.undo()
        assert "nothing to undo" in again.message.text()
        hand.paint(again, 5, 150, 150, 1 - layer.data[5, 150, 150])
        desk.go_to(6)
        hand.click(again.review.accept)
        again.workshop.reviewing.undo()
        again.workshop.reviewing.undo()
        assert "painting on frame 5" in again.message.text(), "what is done in this dock is undone as ever"
        assert "nothing to undo" in again.workshop.reviewing.ledger.undo()
        assert desk.session.states() == states
        assert np.array_equal(layer.data, stood)
        hand.all_saved(again)
    finally:
        again.close_down()
    with Store.open(dataset) as store:
        assert {record.frame: record.fate for record in store.records()} == {2: "accepted", 3: "rejected", 4: "edited"}
        assert len(store.history(identity, 2, task_id)) == 1, "nothing was withdrawn and saved anew"
        drafts = {draft.frame: draft for draft in store.drafts(identity, task_id)}
        assert [frame for frame, draft in drafts.items() if draft.content is not None] == [5]
        assert drafts.keys() == set(range(30)) - {2, 3, 4}, "what is not decided on is kept still"


def test_another_tab_in_front_is_not_closing(echo_dock: M2DinoDock, qtbot: QtBot) -> None:
    from qtpy.QtWidgets import QWidget

    echo_dock.viewer.window.add_dock_widget(QWidget(), name="another", tabify=True)
    qtbot.wait(200)
    assert not echo_dock.workshop.closed


EXIT_CODE = """
import os, sys, time
from pathlib import Path
from napari.viewer import Viewer
from qtpy.QtWidgets import QApplication
viewer = Viewer(show=True)
from napari_m2dino.widgets.dock import M2DinoDock
dock = M2DinoDock(viewer)
viewer.window.add_dock_widget(dock)
begun = time.monotonic()
while sys.argv[1] not in sys.modules:
    assert time.monotonic() < begun + 120, "the model was never loaded"
    QApplication.processEvents()
    time.sleep(0.002)
viewer.close()
print("model ready", bool(dock.workshop.predicting.device))
"""


@pytest.mark.parametrize("module", ["torch", "torch.nn"])
def test_the_program_may_end_while_the_model_is_loading(dataset: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXIT_CODE, module],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "M2DINO_DATASET": str(dataset)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "model ready False" in done.stdout
    assert "terminate called" not in done.stderr
    assert "while loading the model" not in done.stderr


STILL_AT_WORK = """
import sys, threading, time
from napari_m2dino.background import BackgroundThread
kind, written = sys.argv[1], []
thread = BackgroundThread("work")
def for_ever():
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            if kind == "catches once": written.append(1)
            if len(written) != 1: raise
def saving():
    time.sleep(0.5)
    print("saved", flush=True)
begun = threading.Event()
def job():
    begun.set()
    saving() if kind == "finishing" else for_ever()
thread.submit(job)
begun.wait(10)
if kind == "finishing":
    thread.stop(0, finish=True)
"""


@pytest.mark.parametrize("kind", ["endless", "catches once", "finishing"])
def test_a_thread_still_at_work_ends_before_the_program_does(kind: str) -> None:
    code = (
        "import atexit, threading\n"
        # Called after those that are registered later: what is alive now, the interpreter would end by force.
        "atexit.register(lambda: print('left', [t.name for t in threading.enumerate()][1:]))\n" + STILL_AT_WORK
    )
    done = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[-2] == "left []"
    assert ("saved" in done.stdout) == (kind == "finishing")


LETS_GO = """
import gc, time, weakref
from napari.viewer import Viewer
from qtpy.QtWidgets import QApplication
viewer = Viewer(show=True)
from napari_m2dino.widgets.dock import M2DinoDock
def wait(until):
    end = time.monotonic() + 60
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    return until()
dock = M2DinoDock(viewer)
viewer.window.add_dock_widget(dock)
dock.workshop.open_sample()
assert wait(lambda: dock.workshop.desk.loop is not None)
kept = {"workshop": weakref.ref(dock.workshop), "loop": weakref.ref(dock.workshop.desk.loop)}
viewer.window.remove_dock_widget(dock)
del dock
viewer.layers.clear()
print(wait(lambda: gc.collect() >= 0 and not any(one() for one in kept.values())))
viewer.close()
"""


def test_a_closed_dock_lets_go_of_what_it_worked_with(dataset: Path) -> None:
    # In a process of its own, for pytest keeps what a test's fixtures made.
    environment = {**os.environ, "M2DINO_DATASET": str(dataset)}
    code = [sys.executable, "-c", LETS_GO]
    done = subprocess.run(code, capture_output=True, text=True, timeout=240, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "True"
