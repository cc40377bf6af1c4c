"""What a person, a disk or another program gets wrong: told in one sentence, nothing lost, nothing bad saved."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import m2dino
import numpy as np
import pytest
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.data.store_schema import DATABASE
from m2dino.tasks import Label, builtin_tasks
from m2dino.values import Mask
from napari._app_model import get_app_model
from napari.layers import Image
from pydicom.examples import get_path
from qtpy.QtWidgets import QFileDialog

from napari_m2dino.errors import Message
from napari_m2dino.loop_layer import loop_of
from napari_m2dino.napari_compat import frame_sliders
from napari_m2dino.result_layers import result_of
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


def test_a_task_that_the_folder_knows_otherwise_waits_for_another_folder_and_holds_up_nothing_else(
    open_dock: Callable[[], M2DinoDock], hand: Any, dataset: Path, tmp_path: Path
) -> None:
    ours = builtin_tasks()["carotid_artery"]
    theirs = replace(ours, labels=(*ours.labels, Label("wall")))
    path = get_path("ybr_color")
    assert path is not None
    loop = m2dino.open_loop(path)
    with Store.open(dataset, create=True) as store:
        mask = np.full(loop[0].shape[:2], 2, np.uint8)
        store.save(Record(loop.identity, 0, ours.id, "edited", Mask(mask)), loop[0], theirs)
    dock = open_dock()
    desk, told, autosave = dock.workshop.desk, told_by(dock), dock.workshop.autosave
    dock.workshop.open_loop(path)
    hand.qtbot.waitUntil(lambda: desk.loop is not None, timeout=10_000)
    desk.choose_task(desk.tasks["carotid_artery"])
    hand.qtbot.waitUntil(lambda: any("by another definition" in one.text for one in told), timeout=10_000)
    assert desk.session.states() == [FrameState.BLANK] * 30, "a label of theirs is no label of this task"
    hand.predict_all(dock)
    for frame in (3, 4):
        desk.go_to(frame)
        hand.click(dock.review.accept)
    hand.qtbot.waitUntil(lambda: any("Not saved yet" in one.text for one in told), timeout=10_000)
    desk.choose_task(desk.tasks["thyroid_nodule_det"])
    hand.predict_all(dock)
    desk.go_to(5)
    hand.click(dock.review.accept)
    hand.qtbot.waitUntil(lambda: autosave.waiting == 2, timeout=10_000)
    with Store.open(dataset) as store:
        assert [(one.task_id, one.frame) for one in store.records()] == [(ours.id, 0), ("thyroid_nodule_det", 5)]
    desk.choose_task(desk.tasks["carotid_artery"])
    desk.go_to(4)
    hand.click(dock.review.take_back)
    dock.workshop.move_dataset(tmp_path / "another")
    hand.all_saved(dock)
    with Store.open(tmp_path / "another") as store:
        assert [(one.task_id, one.frame) for one in store.records()] == [(ours.id, 3)]
    with Store.open(dataset) as store:
        assert store.tasks()[ours.id] == theirs
        assert len(store.records()) == 2, "what is theirs was not taken back"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on file sizes to set")
def test_what_a_full_disk_kept_from_being_taken_back_is_not_taken_back_in_another_folder(
    echo_dock: M2DinoDock, hand: Any, dataset: Path, tmp_path: Path
) -> None:
    dock, desk, autosave = echo_dock, echo_dock.workshop.desk, echo_dock.workshop.autosave
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    desk.go_to(3)
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        theirs = replace(store.records()[0], author="Ann")
    with Store.open(tmp_path / "another", create=True) as store:
        store.save(theirs, desk.loop[3], desk.task)
    told = told_by(dock)
    with full_disk():
        hand.click(dock.review.take_back)
        desk.go_to(5)
        hand.click(dock.review.accept)
        hand.qtbot.waitUntil(lambda: any("Not saved yet" in one.text for one in told), timeout=10_000)
        assert autosave.waiting == 2
    dock.workshop.move_dataset(tmp_path / "another")
    hand.all_saved(dock)
    assert autosave.unkept == 0
    assert desk.session.state(3) is FrameState.ACCEPTED, "as Ann has it"
    assert desk.session.state(5) is FrameState.ACCEPTED
    with Store.open(tmp_path / "another") as store:
        assert [(record.frame, record.author) for record in store.records()] == [(3, "Ann"), (5, "")]
    with Store.open(dataset) as store:
        assert store.records() == []


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


def test_what_is_decided_on_is_the_frame_shown_whatever_else_the_viewer_shows(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk, viewer = echo_dock, echo_dock.workshop.desk, echo_dock.viewer
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    image, masks, size = desk.loop_layer(), desk.result.layer, (desk.loop.height, desk.loop.width)

    def stands_on(frame: int) -> None:
        assert np.array_equal(image._slice.image.view, desk.loop[frame]), f"{name}: frame {frame} is not shown"
        assert desk.frame == frame, name
        assert dock.review.frame.text().startswith(f"Frame {frame} "), name

    cases: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
        "half a frame apart": ((60, *size), {"scale": (0.5, 1, 1)}),
        "from before the first frame": ((20, *size), {"translate": (-5, 0, 0)}),
        "between two frames": ((20, *size), {"translate": (-4.5, 0, 0)}),
        "with an axis more": ((3, 30, *size), {}),
    }
    for number, (name, (shape, options)) in enumerate(cases.items()):
        first = 3 + 6 * number
        desk.go_to(first)
        theirs = viewer.add_image(np.zeros(shape, np.uint8), name=name, visible=False, **options)
        viewer.layers.selection.active = masks
        stands_on(desk.frame)  # between two frames, napari goes to the next step of its slider
        desk.go_to(first)
        stands_on(first)
        hand.click(dock.review.accept)
        assert desk.session.is_decided(first), name
        desk.go_to(first + 1)
        stands_on(first + 1)
        hand.click(dock.review.reject)
        assert desk.session.state(first + 1) is FrameState.REJECTED, name
        viewer.dims.set_point(viewer.dims.ndim - 3, first + 3)  # a person moves the slider
        assert first + 2 <= desk.frame <= first + 4, name
        stands_on(desk.frame)
        hand.paint(dock, desk.frame, 60, 80, 1 - masks.data[desk.frame, 60, 80])
        assert desk.session.unsaved() == [desk.frame], f"{name}: the frame painted on is the one shown"
        hand.click(dock.review.take_back)
        sliders = frame_sliders(viewer.window._qt_window)
        assert [slider.axis for slider in sliders] == [viewer.dims.ndim - 3], f"{name}: the one that plays the loop"
        viewer.layers.remove(theirs)
    decided = {frame for frame in range(30) if desk.session.is_decided(frame)}
    assert decided == {3, 4, 9, 10, 15, 16, 21, 22}


@pytest.mark.parametrize("command", ["duplicate", "convert_to_image"])
def test_a_copy_that_napari_makes_of_a_result_layer_is_a_layer_of_the_persons_own(
    echo_dock: M2DinoDock, hand: Any, command: str
) -> None:
    dock, desk, viewer = echo_dock, echo_dock.workshop.desk, echo_dock.viewer
    dock.review.moves_on.setChecked(False)
    hand.click(dock.review.new_label)
    hand.paint(dock, 5, 60, 60)
    ours = desk.result.layer
    painted = ours.data[5].copy()
    known = list(viewer.layers)
    assert viewer.layers.selection.active is ours
    told = told_by(dock)
    get_app_model().commands.execute_command(f"napari.layer.{command}").result()
    (copy,) = [layer for layer in viewer.layers if layer not in known]
    hand.qtbot.waitUntil(lambda: bool(told), timeout=2000)
    assert f"“{copy.name}” is a layer of your own" in told[0].text
    assert result_of(copy) is None
    assert loop_of(copy) is None, "nor does it pass as the loop's picture"
    assert result_of(ours) is desk.result, "the layer that is saved is not touched"
    assert loop_of(desk.loop_layer()) is desk.loop
    assert not [key for key in copy.keymap if key in viewer.keymap], "its keys are napari's again"
    if command == "convert_to_image":
        assert isinstance(copy, Image)
        assert "“New label” brings" in told[0].text
        hand.click(dock.review.new_label)
        assert desk.result.layer is not ours
        assert np.array_equal(desk.result.layer.data[5], painted)
    else:
        assert "“New label” brings" not in told[0].text
        viewer.layers.selection.active = copy
        copy.paint((5, 150, 150), 1)
        hand.qtbot.wait(120)
        assert np.array_equal(ours.data[5], painted)
        viewer.layers.remove(copy)
    hand.click(dock.review.accept)
    assert np.array_equal(desk.session.saved_value(5).labels, painted)
    assert len(told) == 1, "layers of the dock's own are no copies"


def test_a_copy_made_while_the_dock_is_closed_is_let_go_when_it_opens(
    echo_dock: M2DinoDock, hand: Any, checkpoint: Path
) -> None:
    dock, viewer = echo_dock, echo_dock.viewer
    hand.click(dock.review.new_label)
    hand.paint(dock, 5, 60, 60)
    ours = dock.workshop.desk.result.layer
    viewer.window.remove_dock_widget(dock)
    viewer.layers.selection.active = ours
    get_app_model().commands.execute_command("napari.layer.duplicate").result()
    (copy,) = [layer for layer in viewer.layers if layer.name.endswith(" copy")]
    second = M2DinoDock(viewer)
    try:
        assert result_of(copy) is None
        assert loop_of(copy) is None
        assert result_of(ours) is not None
        assert f"“{copy.name}” is a layer of your own" in second.message.text()
    finally:
        second.workshop.close()


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
