"""Correct, accept, reject, take back: what a person decides is on the disk at once, and comes back."""

from __future__ import annotations

import csv
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import m2dino
import numpy as np
import pytest
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.values import Box, ClassProbabilities, Mask
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.examples import get_path
from pytestqt.qtbot import QtBot

from napari_m2dino.layers import rectangle_from_box
from napari_m2dino.loop_layer import loop_of
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.dock import M2DinoDock


def rows(dataset: Path, task_id: str) -> list[dict[str, str]]:
    """Return the rows of a task in the FM_UIA view, with the paths of its files checked."""
    found = []
    for table in sorted((dataset / "csv_files").glob("*.csv")):
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                if row["task_id"] == task_id:
                    assert (table.parent / row["image_path"]).is_file()
                    found.append(row)
    return found


def test_an_accepted_and_an_edited_frame_are_on_the_disk_at_once(
    echo_dock: M2DinoDock, hand: Any, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    layer = desk.result.layer
    desk.go_to(3)
    hand.click(dock.review.accept)
    before = layer.data[8].copy()
    hand.paint(dock, 8, 60, 60, 1 - before[60, 60])
    assert desk.session.state(8) is FrameState.CHANGED
    assert "changed, not accepted" in dock.review.frame.text()
    painted = layer.data[8].copy()
    hand.click(dock.review.accept)
    desk.go_to(9)
    hand.click(dock.review.reject)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        records = {record.frame: record for record in store.records(task_id="carotid_artery")}
        assert {frame: record.fate for frame, record in records.items()} == {3: "accepted", 8: "edited", 9: "rejected"}
        assert np.array_equal(records[8].value.labels, painted)
        assert np.array_equal(records[8].proposal.value.labels, before)
        assert records[8].model_id == desk.checkpoint.card.id
        assert store.check() == []
    training = rows(dataset, "carotid_artery")
    assert len(training) == 2, "a rejected frame never trains"
    assert {row["task_name"] for row in training} == {"segmentation"}
    masks = [np.asarray(Image.open(dataset / "csv_files" / row["mask_path"])) for row in training]
    assert any(np.array_equal(mask, painted) for mask in masks)
    assert "2 frames saved for this task" in dock.improve.kept.text()
    assert "1 accepted · 1 edited · 1 rejected" in dock.review.tally.text()


def test_no_patient_data_is_written(echo_dock: M2DinoDock, hand: Any, dataset: Path, tmp_path: Path) -> None:
    named = tmp_path / "DOE_JANE_19500101.dcm"
    shutil.copy(get_path("ybr_color"), named)
    echo_dock.viewer.layers.clear()
    echo_dock.workshop.open_loop(named)
    hand.qtbot.waitUntil(lambda: echo_dock.workshop.desk.loop is not None, timeout=10_000)
    hand.predict_all(echo_dock)
    hand.click(echo_dock.review.accept)
    hand.all_saved(echo_dock)
    words = [b"DOE_JANE", b"19500101"]
    for folder, _, files in os.walk(dataset):
        for name in files:
            content = (Path(folder) / name).read_bytes() + str(Path(folder, name).relative_to(dataset)).encode()
            assert not [word for word in words if word in content], name
    assert not [layer.name for layer in echo_dock.viewer.layers if "DOE" in layer.name]


def test_reviewed_frames_come_back_in_a_new_window(
    echo_dock: M2DinoDock, hand: Any, open_dock: Callable[[], M2DinoDock], qtbot: QtBot
) -> None:
    hand.predict_all(echo_dock)
    proposed = echo_dock.workshop.desk.result.layer.data[5].copy()
    hand.paint(echo_dock, 5, 50, 80, 1 - proposed[50, 80])
    hand.click(echo_dock.review.accept)
    hand.all_saved(echo_dock)
    mine = echo_dock.workshop.desk.result.layer.data[5].copy()
    echo_dock.viewer.close()
    second = open_dock()
    second.workshop.desk.choose_task(second.workshop.desk.tasks["carotid_artery"])
    second.workshop.open_loop(get_path("ybr_color"))
    qtbot.waitUntil(lambda: second.workshop.desk.session is not None, timeout=10_000)
    qtbot.waitUntil(lambda: second.workshop.desk.session.is_decided(5), timeout=10_000)
    assert np.array_equal(second.workshop.desk.result.layer.data[5], mine)
    assert second.workshop.desk.session.state(5) is FrameState.EDITED
    hand.predict_all(second)
    assert np.array_equal(second.workshop.desk.result.layer.data[5], mine), "restored frames are a person's, too"


def test_take_back_and_next(echo_dock: M2DinoDock, hand: Any, dataset: Path) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    hand.click(dock.review.accept)
    waiting = [desk.session.confidence(frame) for frame in range(1, 30)]
    assert desk.session.confidence(desk.frame) == min(waiting), "accepting moves on by itself"
    assert dock.review.why.text().startswith("1 of 29 in the queue; confidence")
    dock.workshop.reviewing.undo()
    dock.review.moves_on.setChecked(False)
    hand.all_saved(dock)
    desk.go_to(2)
    hand.click(dock.review.accept)
    assert not dock.review.accept.property("main")
    hand.click(dock.review.take_back)
    hand.all_saved(dock)
    assert desk.session.state(2) is FrameState.PROPOSED
    with Store.open(dataset) as store:
        assert store.records() == []
        assert len(store.history(desk.loop.identity, 2, desk.task.id)) == 2, "the history keeps what was decided"
    hand.click(dock.review.next)
    waiting = [desk.session.confidence(frame) for frame in range(30) if frame != 2]
    assert desk.session.confidence(desk.frame) == min(waiting)
    dock.review.order.setCurrentIndex(1)
    dock.review.order.activated.emit(1)
    desk.go_to(2)
    hand.click(dock.review.next)
    assert desk.frame == 3


def test_what_was_drawn_on_a_decided_frame_is_taken_back_to_the_decision(
    echo_dock: M2DinoDock, hand: Any, open_dock: Callable[[], M2DinoDock], qtbot: QtBot, dataset: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    layer, proposed = desk.result.layer, desk.result.layer.data.copy()
    decided = {3: dock.review.reject, 5: dock.review.reject, 7: dock.review.accept, 8: dock.review.accept}
    for frame in (5, 8):
        hand.paint(dock, frame, 60, 60, 1 - proposed[frame, 60, 60])
    for frame, button in decided.items():
        desk.go_to(frame)
        hand.click(button)
    stood = layer.data.copy()
    fates = {3: FrameState.REJECTED, 5: FrameState.REJECTED, 7: FrameState.ACCEPTED, 8: FrameState.EDITED}

    def draw_and_take_back(dock: M2DinoDock) -> None:
        session, layer = dock.workshop.desk.session, dock.workshop.desk.result.layer
        for frame, fate in fates.items():
            hand.paint(dock, frame, 150, 150, 1 - layer.data[frame, 150, 150])
            assert session.state(frame) is FrameState.CHANGED
            hand.click(dock.review.take_back)
            assert session.state(frame) is fate
            assert session.unsaved() == []
        hand.all_saved(dock)

    draw_and_take_back(dock)
    assert np.array_equal(layer.data, stood), "what was rejected is shown as it was"
    hand.qtbot.wait(1000)  # where the session stands is written down
    dock.viewer.close()

    second = open_dock()
    second.review.moves_on.setChecked(False)
    hand.click(second.resume.go)
    desk = second.workshop.desk
    qtbot.waitUntil(lambda: desk.session is not None and desk.session.is_decided(3), timeout=20_000)
    hand.all_saved(second)
    draw_and_take_back(second)
    stood[5] = proposed[5]  # what a person had drawn on a frame that they rejected is not kept
    assert np.array_equal(desk.result.layer.data, stood)
    with Store.open(dataset) as store:
        assert {record.frame: record.fate for record in store.records()} == {
            frame: fate.value for frame, fate in fates.items()
        }
        drafts = store.drafts(desk.loop.identity, desk.task.id)
        assert [draft.frame for draft in drafts if draft.content is not None] == []


def test_another_dataset_folder_is_begun_with_what_it_holds_and_undecided_work_comes_along(
    echo_dock: M2DinoDock, hand: Any, dataset: Path, choose: Callable[[Path], None], tmp_path: Path
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    layer, session, proposed = desk.result.layer, desk.session, desk.result.layer.data.copy()
    identity, task = desk.loop.identity, desk.task
    theirs = np.zeros_like(proposed[2])
    theirs[100:150, 100:200] = 1

    def as_ann(frame: int) -> None:
        with Store.open(tmp_path / "another", create=True) as store:
            store.save(Record(identity, frame, task.id, "edited", Mask(theirs), author="Ann"), desk.loop[frame], task)

    def move(folder: Path) -> None:
        choose(folder)
        hand.click(dock.improve.folder)
        hand.all_saved(dock)
        assert dock.workshop.autosave.folder == folder

    as_ann(2)
    as_ann(8)
    desk.go_to(2)
    hand.click(dock.review.accept)
    hand.paint(dock, 4, 60, 60, 1 - proposed[4, 60, 60])
    corrected = layer.data[4].copy()
    hand.click(dock.review.accept)
    hand.paint(dock, 8, 60, 60, 1 - proposed[8, 60, 60])
    drawn = layer.data[8].copy()
    desk.go_to(6)
    hand.click(dock.review.reject)
    move(tmp_path / "another")
    assert {frame: state for frame, state in enumerate(session.states()) if state is not FrameState.PROPOSED} == {
        2: FrameState.EDITED,
        8: FrameState.CHANGED,
    }
    assert np.array_equal(layer.data[2], theirs), "what Ann has saved there is back"
    assert np.array_equal(layer.data[4], proposed[4])
    assert np.array_equal(layer.data[8], drawn)
    assert "2 frames saved for this task" in dock.improve.kept.text()

    dock.workshop.reviewing.undo()
    assert "nothing to undo" in dock.message.text()
    desk.go_to(8)
    hand.click(dock.review.take_back)
    assert session.state(8) is FrameState.EDITED
    assert np.array_equal(layer.data[8], theirs), "under what is drawn lies what Ann has saved"
    dock.workshop.reviewing.undo()
    assert np.array_equal(layer.data[8], drawn)
    for frame in (4, 6):
        desk.go_to(frame)
        dock.workshop.reviewing.take_back()
    as_ann(4)
    dock.workshop.reviewing.heard.ask_for_news()
    hand.all_saved(dock)
    assert session.state(4) is FrameState.EDITED, "her third record has the number of one saved in the first folder"
    assert np.array_equal(layer.data[4], theirs)
    desk.go_to(12)
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    with Store.open(tmp_path / "another") as store:
        assert {record.frame: record.author for record in store.records()} == {2: "Ann", 4: "Ann", 8: "Ann", 12: ""}
        assert [len(store.history(identity, frame, task.id)) for frame in (2, 4, 6, 8)] == [1, 1, 0, 1]
        kept = {draft.frame: draft for draft in store.drafts(identity, task.id)}
        assert [frame for frame, draft in kept.items() if draft.content is not None] == [8]
        assert kept.keys() == set(range(30)) - {2, 12}

    move(dataset)
    with Store.open(dataset) as store:
        assert {record.frame: record.fate for record in store.records()} == {2: "accepted", 4: "edited", 6: "rejected"}
    assert {frame: state for frame, state in enumerate(session.states()) if state is not FrameState.PROPOSED} == {
        2: FrameState.ACCEPTED,
        4: FrameState.EDITED,
        6: FrameState.REJECTED,
        8: FrameState.CHANGED,
    }
    assert np.array_equal(layer.data[2], proposed[2])
    assert np.array_equal(layer.data[4], corrected)


def test_what_was_decided_just_before_another_folder_was_chosen_arrives_in_the_one_left(
    echo_dock: M2DinoDock, hand: Any, dataset: Path, tmp_path: Path
) -> None:
    dock, desk, autosave = echo_dock, echo_dock.workshop.desk, echo_dock.workshop.autosave
    desk.choose_task(desk.tasks["breast_2cls"])
    desk.go_to(0)
    dock.workshop.reviewing.choose_class(1)
    hand.click(dock.review.accept)
    desk.choose_task(desk.tasks["carotid_artery"])
    hand.predict_all(dock)
    hand.all_saved(dock)
    go_on = threading.Event()

    def hold_up() -> None:
        go_on.wait(20)

    autosave.after_all(hold_up)
    desk.go_to(3)
    hand.click(dock.review.accept)
    dock.workshop.move_dataset(tmp_path / "another")
    assert desk.session.state(3) is FrameState.PROPOSED
    desk.go_to(9)
    hand.click(dock.review.accept)
    go_on.set()
    hand.all_saved(dock)
    assert desk.session.state(9) is FrameState.ACCEPTED
    with Store.open(dataset) as store:
        assert [(record.task_id, record.frame) for record in store.records()] == [
            ("breast_2cls", 0),
            ("carotid_artery", 3),
        ]
    with Store.open(tmp_path / "another") as store:
        assert [record.frame for record in store.records()] == [9]
    desk.choose_task(desk.tasks["breast_2cls"])
    assert desk.result.value(0) is None, "another task, too, is begun with what the new folder holds"
    assert desk.session.states() == [FrameState.BLANK] * 30


def test_the_keys_work_on_the_image_and_on_the_labels(echo_dock: M2DinoDock, hand: Any) -> None:
    dock, desk, viewer = echo_dock, echo_dock.workshop.desk, echo_dock.viewer
    dock.review.moves_on.setChecked(False)
    hand.predict_all(dock)
    assert viewer.layers.selection.active is desk.result.layer
    keys = viewer.window._qt_viewer.canvas._key_map_handler
    desk.go_to(6)
    keys.press_key("X")
    assert desk.session.state(6) is FrameState.REJECTED
    keys.press_key("U")
    assert desk.session.state(6) is FrameState.PROPOSED
    viewer.layers.selection.active = desk.loop_layer()
    keys.press_key("A")
    assert desk.session.state(6) is FrameState.ACCEPTED
    keys.press_key("N")
    assert desk.frame != 6
    desk.go_to(5)
    keys.press_key("Shift-N")
    assert desk.frame == 7, "the next along the loop that nobody has decided on"
    keys.press_key("Right")
    keys.press_key("Left")
    keys.press_key("Left")
    assert desk.frame == 6


def test_labels_by_hand_for_every_type_of_task(echo_dock: M2DinoDock, hand: Any, dataset: Path) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    desk.choose_task(desk.tasks["cardiac_multi"])
    hand.click(dock.review.accept)
    assert "has no label yet" in dock.message.text()
    hand.click(dock.review.new_label)
    hand.paint(dock, 0, 100, 100, label=3)
    hand.click(dock.review.accept)

    desk.choose_task(desk.tasks["uterine_fibroid_det"])
    hand.click(dock.review.new_label)
    layer = desk.result.layer
    layer.add(rectangle_from_box(0, Box(50, 50, 60, 60)), shape_type="rectangle")
    layer.add(rectangle_from_box(0, Box(10, 20, 110, 140)), shape_type="rectangle")
    assert "takes the place of the one before" in dock.message.text()
    hand.click(dock.review.accept)

    desk.choose_task(desk.tasks["IUGC"])
    hand.click(dock.review.new_label)
    for place in ((30, 40), (50, 60), (70, 80), (90, 100)):
        desk.result.layer.add([0, *place])
    assert "All 3 points of this frame are placed" in dock.message.text()
    assert list(desk.result.layer.features["name"])[:3] == list(desk.task.label_names)
    hand.click(dock.review.accept)
    assert "no name" in dock.message.text()
    desk.result.layer.selected_data = {3}
    desk.result.layer.remove_selected()
    hand.click(dock.review.accept)

    desk.choose_task(desk.tasks["organ_cls"])
    row = dock.review.classes.rect().center()
    row.setY(22 * 2 + 11)
    from qtpy.QtCore import Qt

    hand.qtbot.mouseClick(dock.review.classes, Qt.MouseButton.LeftButton, pos=row)
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        values = {record.task_id: record.value for record in store.records()}
        assert {record.fate for record in store.records()} == {"edited"}
        assert store.check() == []
    assert values["cardiac_multi"].labels[100, 100] == 3
    assert values["uterine_fibroid_det"].as_tuple() == pytest.approx((10, 20, 110, 140), abs=0.01)
    assert values["IUGC"].points.tolist() == [[30, 40], [50, 60], [70, 80]]
    assert values["organ_cls"] == ClassProbabilities.certain(2, 6)


def test_a_disk_that_refuses_is_told_once_and_nothing_is_lost(echo_dock: M2DinoDock, hand: Any, dataset: Path) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.predict_all(dock)
    dataset.parent.mkdir(exist_ok=True)
    dataset.write_text("a file where the dataset folder should go")
    told = []
    desk.told.connect(lambda message: told.append(message) if message.level == "error" else None)
    for frame in (1, 2, 3):
        desk.go_to(frame)
        hand.click(dock.review.accept)
    hand.qtbot.wait(500)
    assert dock.workshop.autosave.waiting == 3
    assert len(told) == 1, [message.text for message in told]
    assert "Not saved yet" in told[0].text
    assert "3 not saved yet" in dock.improve.kept.text()
    dataset.unlink()
    dock.workshop.autosave.retry()
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        assert [record.frame for record in store.records()] == [1, 2, 3]


def test_two_loops_keep_their_own_work(echo_dock: M2DinoDock, hand: Any, qtbot: QtBot, tmp_path: Path) -> None:
    desk = echo_dock.workshop.desk
    hand.predict_all(echo_dock)
    desk.go_to(1)
    hand.click(echo_dock.review.accept)
    first = desk.loop_layer()
    for index in range(3):
        Image.fromarray(np.full((60, 80, 3), 60 * index + 20, np.uint8)).save(tmp_path / f"{index}.png")
    loop = m2dino.open_loop(tmp_path)
    echo_dock.workshop.open_loop(tmp_path)
    qtbot.waitUntil(lambda: desk.loop is not None and desk.loop.identity == loop.identity, timeout=10_000)
    assert desk.session.states() == [FrameState.BLANK] * 3
    assert not first.visible, "loops would lie over each other"
    hand.predict_all(echo_dock)
    assert desk.result.layer.data.shape == (3, 60, 80)
    echo_dock.viewer.layers.selection.active = first
    assert desk.session.state(1) is FrameState.ACCEPTED
    assert [layer.visible for layer in echo_dock.viewer.layers if loop_of(layer) is desk.loop] == [True, True]
    assert not any(layer.visible for layer in echo_dock.viewer.layers if loop_of(layer) is not desk.loop)
    assert len(desk.session.states()) == 30


def test_a_damaged_frame_is_shown_skipped_and_never_blocks_the_saving_of_others(
    dock: M2DinoDock, hand: Any, qtbot: QtBot, tmp_path: Path, dataset: Path
) -> None:
    cine = dcmread(get_path("ybr_color"))
    frames = list(generate_frames(cine.PixelData, number_of_frames=30))
    frames[7] = frames[7][:40]
    cine.PixelData = encapsulate(frames)
    cine.save_as(tmp_path / "damaged.dcm")
    desk = dock.workshop.desk
    dock.workshop.open_loop(tmp_path / "damaged.dcm")
    qtbot.waitUntil(lambda: desk.loop is not None, timeout=10_000)
    desk.choose_task(desk.tasks["carotid_artery"])
    hand.predict_all(dock)
    assert "Predicted 29 frames" in dock.message.text()
    assert desk.session.state(7) is FrameState.BLANK
    desk.go_to(7)
    qtbot.wait(100)
    assert "damaged" in dock.review.frame.text()
    hand.paint(dock, 7, 50, 50)
    hand.click(dock.review.accept)
    desk.go_to(8)
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    with Store.open(dataset) as store:
        assert [record.frame for record in store.records()] == [8]
    assert not desk.session.is_decided(7)
