"""Opening from the dock: several loops, an axis to choose, several files, bad files, and what stays of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt

from napari_m2dino.loop_layer import loop_of
from napari_m2dino.napari_compat import drop_places
from napari_m2dino.session import FrameState
from napari_m2dino.widgets.axis_dialog import AxisDialog
from napari_m2dino.widgets.dock import M2DinoDock
from napari_m2dino.widgets.loop_chooser import MOST_TICKED, LoopChooser
from tests.cine.making import PATIENT, PATIENT_ID, jpeg_loop, moving_square, region, video
from tests.gui.dropping import drop

TICKED, BLANK = Qt.CheckState.Checked, Qt.CheckState.Unchecked


def loops_in(folder: Path, counts: Sequence[int]) -> Path:
    """Make a folder of DICOM loops, IM0 … with that many frames each; every loop is another."""
    folder.mkdir()
    for k, count in enumerate(counts):
        frames = moving_square(count)
        frames[:, -20:, -20:] = 8 * k
        jpeg_loop(folder / f"IM{k}", frames, FrameTime=40.0)
    return folder


def chooser(dock: M2DinoDock, qtbot: QtBot) -> LoopChooser:
    opening = dock.workshop.opening
    qtbot.waitUntil(lambda: isinstance(opening.dialog, LoopChooser) and opening.dialog.isVisible(), timeout=10_000)
    dialog = opening.dialog
    assert isinstance(dialog, LoopChooser)
    return dialog


def all_looked_at(dialog: LoopChooser, qtbot: QtBot) -> None:
    rows = range(len(dialog.paths))
    qtbot.waitUntil(lambda: not [row for row in rows if "…" in dialog.list.item(row).text()], timeout=20_000)


def open_and_wait(dock: M2DinoDock, qtbot: QtBot, paths: Sequence[Path]) -> None:
    with qtbot.waitSignal(dock.workshop.opening.idle, timeout=20_000):
        dock.workshop.open_loops(paths)


def frames_of(dock: M2DinoDock) -> list[int]:
    return [len(loop) for layer in dock.viewer.layers if (loop := loop_of(layer))]


def told() -> list[str]:
    return [note.message for note in notification_manager.records]


def test_a_folder_of_loops_asks_which_and_opens_those(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path, hand: Any
) -> None:
    dock.workshop.open_loop(loops_in(tmp_path / "visit", (2, 3, 4)))
    dialog = chooser(dock, qtbot)
    assert "visit holds 3 loops" in dialog.question.text()
    all_looked_at(dialog, qtbot)
    rows = [dialog.list.item(row) for row in range(3)]
    assert [row.text().splitlines()[:2] for row in rows] == [
        [f"IM{k}", f"{k + 2} frames · 64 × 48 · 40 ms"] for k in range(3)
    ]
    assert not [row for row in rows if PATIENT in row.text() or PATIENT_ID in row.text()]
    qtbot.waitUntil(lambda: len({row.icon().cacheKey() for row in rows}) == 3, timeout=10_000)
    hand.click(dialog.none)
    assert not dialog.open_button.isEnabled()
    for row in (1, 2):
        place = dialog.list.visualItemRect(rows[row]).center() + QPoint(60, 0)
        qtbot.mouseClick(dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert dialog.open_button.text() == "Open 2 loops"
    with qtbot.waitSignal(dock.workshop.opening.idle, timeout=20_000):
        hand.click(dialog.open_button)
    assert frames_of(dock) == [3, 4]
    assert dock.workshop.desk.loop is loop_of(dock.viewer.layers[0]), "the first of them is looked at first"
    assert [layer.visible for layer in dock.viewer.layers] == [True, False]
    qtbot.waitUntil(lambda: "m2dino thumbnails" not in [one.name for one in threading.enumerate()], timeout=5_000)


def test_cancel_opens_nothing_even_of_files_named_beside_the_folder(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = loops_in(tmp_path / "visit", (2, 3))
    alone = jpeg_loop(tmp_path / "alone.dcm", moving_square(5))
    dock.workshop.open_loops([folder, alone])
    with qtbot.waitSignal(dock.workshop.opening.idle, timeout=10_000):
        chooser(dock, qtbot).reject()
    assert not dock.viewer.layers
    assert not told()


def test_of_very_many_loops_none_is_ticked_and_all_is_one_click(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path, hand: Any
) -> None:
    count = MOST_TICKED + 3
    dock.workshop.open_loop(loops_in(tmp_path / "visit", [2] * count))
    dialog = chooser(dock, qtbot)
    assert not dialog.chosen()
    screen = dialog.screen()
    assert screen is not None
    assert dialog.height() < screen.availableGeometry().height()
    hand.click(dialog.all)
    assert dialog.open_button.text() == f"Open {count} loops"
    dialog.list.item(3).setCheckState(BLANK)
    with qtbot.waitSignal(dock.workshop.opening.idle, timeout=60_000):
        hand.click(dialog.open_button)  # before all of them may have been looked at
    assert len(dock.viewer.layers) == count - 1


def test_a_bad_loop_in_the_list_says_so_and_cannot_be_ticked(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path, hand: Any
) -> None:
    folder = loops_in(tmp_path / "visit", (2, 3))
    (folder / "IM1").write_bytes((folder / "IM1").read_bytes()[:400])
    dock.workshop.open_loop(folder)
    dialog = chooser(dock, qtbot)
    all_looked_at(dialog, qtbot)
    bad = dialog.list.item(1)
    assert "cannot be opened" in bad.text()
    assert "IM1" in bad.toolTip()
    hand.click(dialog.all)
    assert [path.name for path in dialog.chosen()] == ["IM0"]


def test_the_time_axis_is_asked_for_and_never_guessed(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path, hand: Any
) -> None:
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for path in paths:
        np.save(path, np.random.default_rng(len(path.name)).integers(0, 255, (7, 40, 50), np.uint8))
    opening = dock.workshop.opening
    dock.workshop.open_loops(paths)
    qtbot.waitUntil(lambda: isinstance(opening.dialog, AxisDialog), timeout=10_000)
    dialog = opening.dialog
    assert isinstance(dialog, AxisDialog)
    assert "a.npy and 1 more of its shape" in dialog.question.text()
    assert [button.text() for button in dialog.group.buttons()] == [
        "Axis 0: 7 frames of 50 × 40 pixels",
        "Axis 1: 40 frames of 50 × 7 pixels",
        "Axis 2: 50 frames of 40 × 7 pixels",
    ]
    assert dialog.axis() is None
    assert not dialog.open_button.isEnabled()
    hand.click(dialog.group.button(1))
    with qtbot.waitSignal(opening.idle, timeout=20_000):
        hand.click(dialog.open_button)
    assert frames_of(dock) == [40, 40], "one answer serves both files"
    dock.workshop.open_loops(paths[:1])
    qtbot.waitUntil(lambda: isinstance(opening.dialog, AxisDialog), timeout=10_000)
    with qtbot.waitSignal(opening.idle, timeout=20_000):
        opening.dialog.reject()
    assert len(dock.viewer.layers) == 2
    assert not told()


def test_of_several_files_the_good_ones_open_and_the_bad_one_is_told(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path
) -> None:
    good = jpeg_loop(tmp_path / "a.dcm", moving_square(5))
    bad = tmp_path / "letter.dcm"
    bad.write_text("Dear colleague")
    film = video(tmp_path / "film.mp4", moving_square(6), "libx264")
    open_and_wait(dock, qtbot, [good, bad, film])
    assert frames_of(dock) == [5, 6]
    assert "letter.dcm" in dock.message.text()
    assert [text for text in told() if "letter.dcm" in text]


def test_files_dropped_on_the_dock_all_open(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    paths = [jpeg_loop(tmp_path / f"{k}.dcm", moving_square(k)) for k in (4, 5)]
    with qtbot.waitSignal(dock.workshop.opening.idle, timeout=20_000):
        assert drop(dock, paths)
    assert frames_of(dock) == [4, 5]


def test_loops_dropped_on_the_image_open_without_a_question(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    places = drop_places(dock.viewer)
    assert places
    for k, place in enumerate(places):
        paths = [jpeg_loop(tmp_path / f"{k}-{n}.dcm", moving_square(n)) for n in (4, 5)]
        with qtbot.waitSignal(dock.workshop.opening.idle, timeout=20_000):
            assert drop(place, paths)
    assert frames_of(dock) == [4, 5] * len(places)


def test_a_closed_dock_leaves_drops_to_napari(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    (place, *_) = drop_places(dock.viewer)
    heard: list[object] = []
    dock.workshop.open_loops = heard.append  # type: ignore[method-assign]
    dock.viewer.window.remove_dock_widget(dock)
    # Nothing is dropped: napari would ask which reader to use, and wait.
    assert not drop(place, [])
    assert not dock.drops.watching
    assert not heard


def test_two_loops_keep_their_own_labels_and_one_may_go(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path, hand: Any
) -> None:
    measured = jpeg_loop(tmp_path / "a.dcm", moving_square(5, 100, 140), SequenceOfUltrasoundRegions=[region()])
    plain = jpeg_loop(tmp_path / "b.dcm", moving_square(6, 90, 120))
    shutil.copy(measured, tmp_path / "again.dcm")
    open_and_wait(dock, qtbot, [measured, plain, tmp_path / "again.dcm"])
    desk, layers = dock.workshop.desk, dock.viewer.layers
    first, second, again = list(layers)
    assert [str(unit) for unit in first.units] == ["pixel", "millimeter", "millimeter"]
    assert [str(unit) for unit in second.units] == ["pixel"] * 3
    desk.choose_task(desk.tasks["carotid_artery"])
    results = []
    for layer in (first, second, again):
        layers.selection.active = layer
        hand.click(dock.review.new_label)
        desk.result.layer.data_setitem((np.array([1]), np.array([8]), np.array([9 + len(results)])), 1)
        results.append(desk.result)
    assert len({id(result) for result in results}) == 3
    layers.remove(second)
    for at, (layer, result) in enumerate(zip((first, again), (results[0], results[2]), strict=True)):
        layers.selection.active = layer
        assert desk.result is result
        assert np.argwhere(result.layer.data).tolist() == [[1, 8, 9 + 2 * at]]
        assert tuple(result.layer.scale) == tuple(layer.scale)


def test_a_shorter_loop_is_never_shown_past_its_end(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    open_and_wait(dock, qtbot, [jpeg_loop(tmp_path / f"{n}.dcm", moving_square(n)) for n in (4, 9)])
    short, long = dock.viewer.layers
    dock.viewer.layers.selection.active = long
    dock.viewer.dims.set_current_step(0, 8)
    dock.viewer.layers.selection.active = short
    assert dock.viewer.dims.current_step[0] == dock.workshop.desk.frame == 3


def test_nothing_is_decided_or_changed_past_the_end_of_a_loop_where_none_of_its_frames_is_seen(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path, hand: Any
) -> None:
    open_and_wait(dock, qtbot, [jpeg_loop(tmp_path / f"{n}.dcm", moving_square(n)) for n in (4, 9)])
    desk, viewer = dock.workshop.desk, dock.viewer
    keys = viewer.window._qt_viewer.canvas._key_map_handler
    viewer.layers.selection.active = viewer.layers[0]
    assert len(desk.loop) == 4

    def past_the_end() -> None:
        viewer.dims.set_current_step(0, 8)
        desk.tell("")

    def refused(press: Any) -> None:
        past_the_end()
        press()
        qtbot.wait(120)
        assert "frame 8" in dock.message.text()
        assert "frames 0 to 3" in dock.message.text()

    desk.choose_task(desk.tasks["carotid_artery"])
    hand.click(dock.review.new_label)
    hand.paint(dock, 3, 10, 10, size=4)
    session, masks = desk.session, desk.result.layer
    painted = masks.data.copy()
    for button in (
        dock.review.accept,
        dock.review.reject,
        dock.review.take_back,
        dock.edit.copy_before,
        dock.edit.holes,
        dock.edit.carry,
        dock.edit.fill,
        dock.predict.this_frame,
    ):
        refused(lambda button=button: hand.click(button))
    for key in ("A", "X"):
        refused(lambda key=key: keys.press_key(key))
    assert session.state(3) is FrameState.CHANGED
    assert np.array_equal(masks.data, painted)
    past_the_end()
    keys.press_key("Control-Z")
    assert viewer.dims.current_step[0] == 3, "what is undone is shown"
    assert not masks.data.any()
    past_the_end()
    keys.press_key("Control-Shift-Z")
    assert viewer.dims.current_step[0] == 3
    hand.click(dock.review.accept)
    assert session.is_decided(3), "on a frame that is seen"
    hand.all_saved(dock)

    desk.choose_task(desk.tasks["breast_2cls"])
    refused(lambda: dock.review.classes.chosen.emit(1))
    refused(lambda: keys.press_key("2"))
    assert desk.result.value(3) is None
    desk.go_to(3)
    keys.press_key("2")
    assert desk.result.value(3).index == 1

    desk.choose_task(desk.tasks["IUGC"])
    desk.go_to(3)
    hand.click(dock.review.new_label)
    refused(lambda: keys.press_key("H"))
    refused(lambda: hand.click(dock.review.chips.chips[0]))
    assert desk.result.hidden(3) == set()


def test_closing_the_dock_in_the_middle_of_a_question_ends_it(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    dock.workshop.open_loop(loops_in(tmp_path / "visit", (2, 3)))
    dialog = chooser(dock, qtbot)
    dock.viewer.window.remove_dock_widget(dock)
    assert not dialog.isVisible()
    names = {"m2dino thumbnails", "m2dino opening"}
    qtbot.waitUntil(lambda: not names & {one.name for one in threading.enumerate()}, timeout=5_000)
    assert not dock.viewer.layers


def all_of(dock: M2DinoDock, qtbot: QtBot, folder: Path) -> None:
    """Open a folder, wait for the question, and answer it with all loops."""
    dock.workshop.open_loop(folder)
    dialog = chooser(dock, qtbot)
    dialog.all.click()
    dialog.accept()


def test_a_person_works_on_while_many_loops_open_and_sees_how_many(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path
) -> None:
    opening, viewer, bar = dock.workshop.opening, dock.viewer, dock.opening
    words: list[str] = []
    seen: list[tuple[bool, str]] = []
    counts: list[int] = []
    opening.progressed.connect(lambda text, _done, _total: words.append(text))
    # Signals are heard in the order of connecting: the bar has heard it already.
    opening.progressed.connect(lambda *_: seen.append((bar.isVisible(), bar.bar.text())))

    def work_on(_words: str, shown: int, wanted: int) -> None:
        if not wanted or not viewer.layers:
            return
        counts.append(len(viewer.layers))
        if shown == 1:
            assert dock.workshop.desk.loop is loop_of(viewer.layers[0]), "there is a loop to work on at once"
        if shown == 3:
            viewer.dims.set_current_step(0, 4)
            viewer.layers.selection.active = viewer.layers[1]

    opening.progressed.connect(work_on)
    with qtbot.waitSignal(opening.idle, timeout=20_000):
        all_of(dock, qtbot, loops_in(tmp_path / "visit", [5] * 6))
    assert [text for text in words if text.startswith("Opening")] == [f"Opening {k} of 6" for k in (2, 3, 4, 5, 6, 6)]
    assert (True, "Opening 3 of 6") in seen
    assert counts == [1, 2, 3, 4, 5, 6], "one layer a turn"
    assert not bar.isVisible()
    assert viewer.layers.selection == {viewer.layers[1]}, "what a person selected meanwhile stays"
    assert dock.workshop.desk.loop is loop_of(viewer.layers[1])
    assert viewer.dims.current_step[0] == 4


def test_stop_keeps_what_is_open_and_opens_no_more(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path, hand: Any) -> None:
    all_of(dock, qtbot, loops_in(tmp_path / "visit", [2] * 8))
    qtbot.waitUntil(lambda: len(dock.viewer.layers) == 2, timeout=10_000)
    with qtbot.waitSignal(dock.workshop.opening.idle, timeout=10_000):
        hand.click(dock.opening.stop)
    count = len(dock.viewer.layers)
    assert 2 <= count < 8
    assert dock.message.text() == f"Stopped: {count} of 8 loops are open."
    assert not dock.opening.isVisible()
    qtbot.wait(200)
    assert len(dock.viewer.layers) == count
    open_and_wait(dock, qtbot, [jpeg_loop(tmp_path / "later.dcm", moving_square(7))])
    assert len(dock.viewer.layers) == count + 1, "the next is opened as ever"


def test_a_packed_volume_says_how_far_it_is_and_a_damaged_one_what_is_wrong(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (20, 1, 300, 400), np.uint8)
    good, bad = tmp_path / "good.nii.gz", tmp_path / "bad.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(frames, isVector=False), str(good))
    bad.write_bytes(good.read_bytes()[:-8] + bytes(8))
    words: list[str] = []
    dock.workshop.opening.progressed.connect(lambda text, _done, _total: words.append(text))
    open_and_wait(dock, qtbot, [good, bad])
    assert frames_of(dock) == [20]
    assert "Unpacking good.nii.gz: 100 %" in words
    loop = loop_of(dock.viewer.layers[0])
    assert loop is not None
    assert loop.bytes_to_unpack == 0, "nothing is left that the window would wait for"
    assert "bad.nii.gz is damaged" in dock.message.text()


def test_requests_wait_for_each_other(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    dock.workshop.open_loop(loops_in(tmp_path / "visit", (2, 3)))
    dialog = chooser(dock, qtbot)
    dock.workshop.open_loop(jpeg_loop(tmp_path / "later.dcm", moving_square(7)))
    qtbot.wait(100)
    assert not dock.viewer.layers
    with qtbot.waitSignal(dock.workshop.opening.idle, timeout=20_000):
        dialog.accept()
    assert frames_of(dock) == [2, 3, 7]
