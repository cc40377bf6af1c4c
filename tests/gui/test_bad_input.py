"""What a person, a disk or another program gets wrong: told in one sentence, nothing lost, nothing bad saved."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.store import Store
from m2dino.data.store_schema import DATABASE
from pydicom.examples import get_path
from qtpy.QtWidgets import QFileDialog

from napari_m2dino.errors import Message
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.dock import M2DinoDock
from tests.broken_checkpoints import KINDS, broken


def told_by(dock: M2DinoDock) -> list[Message]:
    """Return the list of all that is told from now on that is not mere information."""
    told: list[Message] = []
    dock.workshop.desk.told.connect(
        lambda message: told.append(message) if message.level in ("warning", "error") else None
    )
    return told


@contextmanager
def full_disk() -> Iterator[None]:
    """Let the system refuse every file beyond 8 KiB, as a full disk does: even an empty store is larger."""
    import resource

    free = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, free[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on file sizes to set")
@pytest.mark.parametrize("begun", [False, True], ids=["new folder", "folder begun"])
def test_a_full_disk_is_told_once_work_goes_on_and_saving_resumes_by_itself(
    echo_dock: M2DinoDock, hand: Any, dataset: Path, open_dock: Callable[[], M2DinoDock], begun: bool
) -> None:
    dock, desk, autosave = echo_dock, echo_dock.workshop.desk, echo_dock.workshop.autosave
    hand.predict_all(dock)
    if begun:
        desk.go_to(0)
        hand.click(dock.review.accept)
        hand.all_saved(dock)
    hand.qtbot.wait(300)
    told = told_by(dock)
    with full_disk():
        desk.go_to(1)
        hand.click(dock.review.accept)
        layer = desk.result.layer
        hand.paint(dock, 4, 60, 80, 1 - layer.data[4, 60, 80])
        painted = layer.data[4].copy()
        desk.go_to(2)
        hand.click(dock.review.accept)
        hand.qtbot.waitUntil(lambda: autosave.waiting == 2, timeout=10_000)
        hand.qtbot.wait(1000)
        assert len([message for message in told if "Not saved yet" in message.text]) == 1, told
        assert desk.session.state(1) is FrameState.ACCEPTED
        assert desk.session.state(4) is FrameState.CHANGED
        assert np.array_equal(layer.data[4], painted)
        assert autosave.unkept > 2, "what is painted and not accepted waits too"
    hand.qtbot.waitUntil(lambda: autosave.unkept == 0, timeout=25_000)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        assert [record.frame for record in store.records()] == ([0, 1, 2] if begun else [1, 2])
        drawn = [draft for draft in store.drafts(desk.loop.identity, desk.task.id) if draft.content is not None]
        assert [draft.frame for draft in drawn] == [4]
        assert store.check() == []
    desk.go_to(7)
    hand.qtbot.wait(1000)  # where the session stands is written down
    dock.viewer.close()

    second = open_dock()
    hand.click(second.resume.go)
    desk = second.workshop.desk
    hand.qtbot.waitUntil(lambda: desk.session is not None and 4 in desk.session.unsaved(), timeout=20_000)
    assert np.array_equal(desk.result.layer.data[4], painted)
    assert desk.session.state(4) is FrameState.CHANGED
    assert desk.session.state(2) is FrameState.ACCEPTED


def test_a_folder_of_a_newer_version_is_left_alone_and_another_can_be_chosen(
    open_dock: Callable[[], M2DinoDock], hand: Any, dataset: Path, tmp_path: Path
) -> None:
    Store.open(dataset, create=True).close()
    database = dataset / DATABASE
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version=99")
    connection.commit()
    connection.close()
    before = database.read_bytes()
    dock = open_dock()
    desk, told = dock.workshop.desk, told_by(dock)
    path = get_path("ybr_color")
    assert path is not None
    dock.workshop.open_loop(path)
    hand.qtbot.waitUntil(lambda: desk.loop is not None, timeout=10_000)
    desk.choose_task(desk.tasks["carotid_artery"])
    hand.predict_all(dock)
    desk.go_to(3)
    hand.click(dock.review.accept)
    hand.qtbot.waitUntil(lambda: any("Not saved yet" in one.text and "newer" in one.text for one in told))
    assert dock.workshop.autosave.waiting == 1
    assert desk.session.state(3) is FrameState.ACCEPTED
    assert database.read_bytes() == before
    dock.workshop.move_dataset(tmp_path / "another")
    hand.all_saved(dock)
    with Store.open(tmp_path / "another") as store:
        assert [record.frame for record in store.records()] == [3]
    assert database.read_bytes() == before


def test_labels_of_no_class_and_arrays_of_another_shape_are_named_and_never_saved(
    echo_dock: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    layer = desk.result.layer
    desk.go_to(5)
    layer.data[5, 20:30, 20:30] = 9
    layer.refresh()
    hand.click(dock.review.accept)
    assert "Label 9" in dock.message.text()
    good = layer.data.copy()
    good[5, 20:30, 20:30] = 1
    layer.data = np.zeros((3, 40, 50), np.uint8)
    hand.click(dock.review.accept)
    assert "labels of size 3 x 40 x 50, but this loop needs 30 x 240 x 320" in dock.message.text()
    layer.data = good.astype(np.int64)
    hand.click(dock.review.accept)
    assert desk.session.is_decided(5)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        (record,) = store.records()
        assert np.array_equal(record.value.labels, good[5])
        assert store.check() == []


def test_points_and_boxes_outside_the_image_are_named_or_cut_and_never_saved(
    echo_dock: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    height, width = desk.loop.height, desk.loop.width
    desk.go_to(0)
    desk.choose_task(desk.tasks["IUGC"])
    hand.click(dock.review.new_label)
    points = desk.result.layer
    for place in ((30, 40), (50, 60), (-70, width + 80)):
        points.add([0, *place])
    hand.click(dock.review.accept)
    assert f"{desk.task.label_names[2]} lies outside the image on frame 0" in dock.message.text()
    assert not desk.session.is_decided(0)
    hand.click(dock.edit.hide_point)
    assert desk.result.value(0) is not None
    hand.click(dock.review.accept)
    assert desk.session.is_decided(0)

    desk.choose_task(desk.tasks["uterine_fibroid_det"])
    hand.click(dock.review.new_label)
    boxes = desk.result.layer
    boxes.add([[0, -50, -50], [0, -50, 90], [0, 70, 90], [0, 70, -50]], shape_type="rectangle")
    hand.click(dock.review.accept)
    assert boxes.data[0].min() == -0.5, "what is seen is what is saved"
    desk.go_to(1)
    far = height + 100
    boxes.add([[1, far, 5], [1, far, 90], [1, far + 50, 90], [1, far + 50, 5]], shape_type="rectangle")
    hand.click(dock.review.accept)
    assert "outside the image" in dock.message.text()
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        saved = {record.task_id: record.value for record in store.records()}
        assert saved["uterine_fibroid_det"].as_tuple() == pytest.approx((0, 0, 70.5, 90.5))
        assert saved["IUGC"].points[:2] == pytest.approx(np.array([[30, 40], [50, 60]]))
        assert np.isnan(saved["IUGC"].points[2]).all()
        assert len(store.records()) == 2
        assert store.check() == []


def test_what_is_put_on_frames_that_the_loop_does_not_have_is_taken_off_and_told(
    echo_dock: M2DinoDock, hand: Any
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    desk.choose_task(desk.tasks["IUGC"])
    hand.click(dock.review.new_label)
    points = desk.result.layer
    points.add([0, 30, 40])
    points.add([[45, 30, 40], [0, 50, 60], [-3, 1, 1]])
    assert "This loop has the frames 0 to 29" in dock.message.text()
    assert list(points.data[:, 0]) == [0, 0]
    assert list(points.features["name"]) == list(desk.task.label_names[:2])
    desk.choose_task(desk.tasks["uterine_fibroid_det"])
    hand.click(dock.review.new_label)
    boxes = desk.result.layer
    boxes.add([[30, 5, 5], [30, 5, 90], [30, 50, 90], [30, 50, 5]], shape_type="rectangle")
    assert "what you put on frame 30 beyond them is taken off" in dock.message.text()
    assert len(boxes.data) == 0
    assert desk.viewer.dims.range[0].stop == 29
    hand.qtbot.wait(120)
    assert desk.session.unsaved() == []


@pytest.mark.parametrize("array", [np.ones((7, 9), bool), np.full((2, 3, 20, 30), 40_000, np.uint32)], ids=["2d", "4d"])
def test_a_labels_layer_of_the_persons_own_is_let_be(
    echo_dock: M2DinoDock, hand: Any, dataset: Path, array: np.ndarray
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    told = told_by(dock)
    theirs = dock.viewer.add_labels(array.copy(), name="Mine")
    dock.viewer.layers.selection.active = theirs
    before = desk.frame
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    assert told == []
    assert np.array_equal(theirs.data, array)
    with Store.open(dataset) as store:
        (record,) = store.records()
        assert record.frame == before
        assert record.value.labels.shape == (desk.loop.height, desk.loop.width)


def test_a_checkpoint_that_is_none_is_refused_and_the_model_in_use_stays(
    open_dock: Callable[[], M2DinoDock],
    hand: Any,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dock = open_dock()
    told, desk = told_by(dock), dock.workshop.desk
    assert desk.checkpoint.path == checkpoint
    for number, kind in enumerate(KINDS):
        wrong = broken(kind, checkpoint, tmp_path / f"wrong{number}.safetensors")
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args, path=wrong, **_options: (str(path), ""))
        hand.click(dock.task.other)
        hand.qtbot.waitUntil(lambda path=wrong: any(one.text.startswith(f"{path}: ") for one in told), timeout=20_000)
        hand.qtbot.waitUntil(lambda: desk.checkpoint.path == checkpoint, timeout=20_000)
        assert wrong not in dock.workshop._others
        assert {message.level for message in told} == {"error"}
        assert not [message.text for message in told if "Traceback" in message.text or "\n" in message.text]
    assert wrong not in [one.path for one in desk.checkpoints]
