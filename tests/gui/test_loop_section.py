"""What the dock says of a loop and does about it: scale, time, image area, moments, de-identified copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import m2dino
import numpy as np
import pytest
from m2dino.cine import manual_calibration
from napari.settings import get_settings
from PIL import Image
from pydicom import dcmread
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLabel, QMessageBox, QWidget

from napari_m2dino.loop_layer import loop_of
from napari_m2dino.napari_compat import camera, frame_sliders, scale_bar
from napari_m2dino.tour.hand import mouse_event
from napari_m2dino.widgets.copy_dialog import CopyDialog
from napari_m2dino.widgets.dock import M2DinoDock
from tests.cine.making import PATIENT, jpeg_loop, moving_square, region

FRAMES = moving_square(6, 120, 160)
Open = Callable[..., Any]


@pytest.fixture(autouse=True)
def scales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where scales set by hand are remembered."""
    monkeypatch.setenv("M2DINO_CALIBRATIONS", str(tmp_path / "scales"))
    return tmp_path / "scales"


@pytest.fixture
def open_file(dock: M2DinoDock, qtbot: QtBot) -> Open:
    """Return a function that opens a file through the dock, and gives its loop."""

    def open_one(path: Path) -> Any:
        desk, before = dock.workshop.desk, dock.workshop.desk.loop
        dock.workshop.open_loop(path)
        qtbot.waitUntil(lambda: desk.loop is not None and desk.loop is not before, timeout=10_000)
        desk.choose_task(desk.tasks["carotid_artery"])
        return desk.loop

    return open_one


@pytest.fixture
def plain(open_file: Open, tmp_path: Path) -> Any:
    """A loop without a scale, on the desk."""
    return open_file(jpeg_loop(tmp_path / "plain.dcm", FRAMES, FrameTime="40"))


def draw(dock: M2DinoDock, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Put a line on the calibration layer, as (y, x) in pixels."""
    dock.workshop.tools.calibrating.layer.add(np.array([start, end]), shape_type="line")


def drag(qtbot: QtBot, canvas: QWidget, places: list[QPoint]) -> None:
    """Drag the mouse through places of the canvas, not by the system's pointer: a busy X server tells of it late.

    napari hears of a move a few milliseconds later, and of none that a release has overtaken.
    """
    kinds = [QEvent.Type.MouseButtonPress, *[QEvent.Type.MouseMove] * (len(places) - 1), QEvent.Type.MouseButtonRelease]
    for kind, place in zip(kinds, [*places, places[-1]], strict=True):
        QApplication.sendEvent(canvas, mouse_event(canvas, kind, place, Qt.MouseButton.LeftButton))
        qtbot.wait(50)


def calibrate(dock: M2DinoDock, hand: Any, length: str, start: Any = (10, 20), end: Any = (110, 20)) -> None:
    """Go through the calibration: button, line, length, Apply."""
    hand.click(dock.loop.calibrate)
    draw(dock, start, end)
    dock.loop.form.length.setText(length)
    hand.click(dock.loop.form.use)


# -- scale -----------------------------------------------------------------------------------------------------------
def test_the_dock_says_where_the_scale_comes_from_or_why_there_is_none(
    dock: M2DinoDock, open_file: Open, tmp_path: Path
) -> None:
    section = dock.loop
    assert not section.calibrate.isVisible()
    open_file(jpeg_loop(tmp_path / "a.dcm", FRAMES, SequenceOfUltrasoundRegions=[region()], FrameTime="40"))
    assert section.scale.text() == "0.5 mm per pixel, from the DICOM region of the B-mode image"
    assert section.time.text() == "40 ms a frame (25 fps), from its frame time"
    assert section.facts.text().startswith("6 frames · 160 × 120 px · JPEG")
    outside = region(RegionLocationMaxX1=400)
    open_file(jpeg_loop(tmp_path / "b.dcm", FRAMES[:5], SequenceOfUltrasoundRegions=[outside]))
    assert "No scale: ultrasound region 1 lies outside the image" in section.scale.text()
    assert "Lengths are in pixels" in section.scale.text()
    assert section.time.text() == "The file gives no frame time."
    assert section.calibrate.isVisible()
    open_file(jpeg_loop(tmp_path / "c.dcm", FRAMES[:4], PixelSpacing=[0.2, 0.3]))
    assert section.scale.text() == "0.2 × 0.3 mm per pixel (height × width), from the file's pixel spacing"
    assert PATIENT.split("^")[0] not in "".join(label.text() for label in dock.findChildren(QLabel))


def test_a_line_drawn_with_the_mouse_sets_the_scale_of_all_layers_and_is_remembered(
    dock: M2DinoDock, hand: Any, plain: Any, qtbot: QtBot, tmp_path: Path
) -> None:
    desk, viewer = dock.workshop.desk, dock.viewer
    hand.predict_all(dock)
    image, labels = desk.loop_layer(), desk.result.layer
    painted = labels.data.copy()
    hand.click(dock.loop.calibrate)
    tool = dock.workshop.tools.calibrating
    canvas = viewer.window._qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    zoom = camera(viewer).zoom
    for reach in (60, 80):  # drawn twice: the second line replaces the first
        drag(qtbot, canvas, [middle, middle + QPoint(0, reach // 2), middle + QPoint(0, reach)])
    assert tool.layer.nshapes == 1
    assert dock.focusWidget() is dock.loop.form.length, "its length can be typed at once"
    pixels = float(np.linalg.norm(np.subtract(*tool.line())))
    assert pixels == pytest.approx(80 / zoom, rel=0.05)
    dock.loop.form.length.setText("2,5")
    assert "mm per pixel" in dock.loop.form.found.text()
    seen = image.world_to_data(camera(viewer).center)[-2:], camera(viewer).zoom * image.scale[-1]
    qtbot.keyClick(dock.loop.form.length, Qt.Key.Key_Return)
    scale = 25 / pixels
    for layer in (image, labels):
        assert layer.scale == pytest.approx((1, scale, scale))
        assert [str(unit) for unit in layer.units] == ["pixel", "millimeter", "millimeter"]
    assert np.array_equal(labels.data, painted)
    after = image.world_to_data(camera(viewer).center)[-2:], camera(viewer).zoom * image.scale[-1]
    assert after[0] == pytest.approx(seen[0], abs=0.01)
    assert after[1] == pytest.approx(seen[1])
    assert dock.loop.scale.text() == f"{scale:.3g} mm per pixel, set by hand"
    assert [layer.name for layer in viewer.layers] == [image.name, labels.name]
    assert m2dino.open_loop(tmp_path / "plain.dcm").calibration.dy_mm == pytest.approx(scale)
    hand.click(dock.loop.forget)
    assert "No scale" in dock.loop.scale.text()
    assert labels.scale == pytest.approx((1, 1, 1))
    assert [str(unit) for unit in labels.units] == ["pixel"] * 3
    assert camera(viewer).zoom == pytest.approx(zoom)
    assert m2dino.open_loop(tmp_path / "plain.dcm").calibration is None
    assert not dock.loop.forget.isVisible()


def test_what_gives_no_scale_is_told_and_changes_nothing(dock: M2DinoDock, hand: Any, plain: Any, scales: Path) -> None:
    for end, length, told in (
        (None, "5", "Draw a line"),
        ((10, 20), "5", "too short"),
        ((300, 20), "5", "inside the image"),
        ((110, 20), "", "number above 0"),
        ((110, 20), "-5", "number above 0"),
        ((110, 20), "nan", "number above 0"),
        ((110, 20), "five", "number above 0"),
        ((110, 20), "1e9", "check the length"),
    ):
        hand.click(dock.loop.calibrate)
        if end is not None:
            draw(dock, (10, 20), end)
        dock.loop.form.length.setText(length)
        hand.click(dock.loop.form.use)
        assert told in dock.message.text()
        assert dock.loop.form.isVisible(), "one can go on from there"
        assert plain.calibration is None
        assert not scales.exists()
        hand.click(dock.loop.form.cancel)


def test_cancel_leaves_no_trace(dock: M2DinoDock, hand: Any, plain: Any, scales: Path, tmp_path: Path) -> None:
    viewer, desk, form = dock.viewer, dock.workshop.desk, dock.loop.form
    hand.click(dock.review.new_label)
    labels = desk.result.layer
    viewer.layers.selection.active = labels
    labels.mode = "paint"

    def as_before() -> None:
        assert [layer.name for layer in viewer.layers] == [desk.loop_layer().name, labels.name]
        assert viewer.layers.selection.active is labels
        assert labels.mode == "paint"
        assert plain.calibration is None
        assert not scales.exists()
        assert not form.isVisible()
        assert dock.loop.calibrate.isVisible()

    for leave in (
        lambda: hand.click(form.cancel),
        lambda: hand.qtbot.keyClick(form.length, Qt.Key.Key_Escape),
        lambda: hand.qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Escape),
        lambda: viewer.layers.remove(dock.workshop.tools.calibrating.layer),
    ):
        hand.click(dock.loop.calibrate)
        draw(dock, (10, 20), (110, 20))
        assert form.isVisible()
        leave()
        as_before()


def press_in_question(button: str) -> None:
    """Press a button of the question that is about to come up."""

    def press() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        next(one for one in box.buttons() if one.text() == button).click()

    QTimer.singleShot(100, press)


def test_the_scale_of_a_file_is_replaced_only_after_asking(
    dock: M2DinoDock, hand: Any, open_file: Open, tmp_path: Path
) -> None:
    loop = open_file(jpeg_loop(tmp_path / "a.dcm", FRAMES, SequenceOfUltrasoundRegions=[region()]))
    press_in_question("Keep the file's")
    calibrate(dock, hand, "2", (15, 30), (85, 30))
    assert loop.calibration.dy_mm == 0.5
    assert dock.loop.form.isVisible()
    press_in_question("Use mine")
    hand.click(dock.loop.form.use)
    assert loop.calibration.dy_mm == pytest.approx(20 / 70)
    assert loop.calibration.region == loop.tissue_region
    hand.click(dock.loop.forget)
    assert loop.calibration.dy_mm == 0.5
    assert dock.workshop.desk.loop_layer().scale == pytest.approx((1, 0.5, 0.5))


def test_a_loop_opened_twice_has_one_scale(dock: M2DinoDock, hand: Any, plain: Any, open_file: Open) -> None:
    again = open_file(plain.path)
    calibrate(dock, hand, "5")
    assert plain.calibration == again.calibration is not None
    assert {tuple(layer.scale) for layer in dock.viewer.layers} == {(1.0, 0.5, 0.5)}
    hand.click(dock.loop.forget)
    assert (plain.calibration, again.calibration) == (None, None)


def test_a_disk_that_refuses_leaves_the_scale_as_it_was(dock: M2DinoDock, hand: Any, plain: Any, scales: Path) -> None:
    scales.write_text("a file where the folder should go")
    calibrate(dock, hand, "5")
    assert "not remembered" in dock.message.text()
    assert plain.calibration is None
    assert dock.workshop.desk.loop_layer().scale == pytest.approx((1, 1, 1))


def test_the_scale_bar_shows_what_there_is_unless_turned_off(
    dock: M2DinoDock, hand: Any, plain: Any, open_file: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    bar = scale_bar(dock.viewer)
    qtbot.waitUntil(lambda: bar.visible, timeout=5000)
    assert str(dock.viewer.layers.units[-1]) == "pixel"
    calibrate(dock, hand, "5")
    assert bar.visible
    assert str(dock.viewer.layers.units[-1]) == "millimeter"
    open_file(jpeg_loop(tmp_path / "other.dcm", FRAMES[:3]))
    # Layers in px and layers in mm have no unit in common.
    qtbot.waitUntil(lambda: not bar.visible, timeout=5000)
    dock.viewer.layers.remove(dock.workshop.desk.loop_layer())
    qtbot.waitUntil(lambda: bar.visible, timeout=5000)
    bar.visible = False
    hand.click(dock.loop.forget)
    qtbot.wait(50)
    assert not bar.visible


# -- image area ------------------------------------------------------------------------------------------------------
def test_a_loop_is_predicted_inside_the_image_that_the_file_names(
    dock: M2DinoDock, hand: Any, open_file: Open, tmp_path: Path, checkpoint: Path
) -> None:
    loop = open_file(jpeg_loop(tmp_path / "a.dcm", FRAMES, SequenceOfUltrasoundRegions=[region()]))
    model, desk = m2dino.load_model(checkpoint, "cpu"), dock.workshop.desk
    assert dock.loop.inside.isVisible()
    assert dock.loop.inside.isChecked()
    box = loop.tissue_region
    for inside_only in (True, False):
        assert dock.loop.inside.isChecked() == inside_only
        hand.predict_all(dock)
        wanted = m2dino.predict(loop, "carotid_artery", model, region=box if inside_only else None)
        expected = np.stack([prediction.value.labels for prediction in wanted])
        assert np.mean(desk.result.layer.data == expected) > 0.999
        outside = expected.copy()
        outside[:, box[0] : box[2], box[1] : box[3]] = 0
        assert outside.any() == (not inside_only)
        dock.loop.inside.click()


def test_the_outline_is_drawn_on_request_and_goes_with_the_loop(
    dock: M2DinoDock, hand: Any, open_file: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    viewer, desk = dock.viewer, dock.workshop.desk
    loop = open_file(jpeg_loop(tmp_path / "a.dcm", FRAMES, SequenceOfUltrasoundRegions=[region()]))
    active = viewer.layers.selection.active
    hand.click(dock.loop.outline)
    line = viewer.layers["image area"]
    y_min, x_min, y_max, x_max = loop.tissue_region
    drawn = np.argwhere(line.data[..., 3])
    assert (drawn.min(axis=0).tolist(), drawn.max(axis=0).tolist()) == ([y_min, x_min], [y_max - 1, x_max - 1])
    assert not line.data[y_min + 5 : y_max - 5, x_min + 5 : x_max - 5].any(), "the image stays to be seen"
    assert line.scale == pytest.approx(desk.loop_layer().scale[1:])
    assert viewer.layers.selection.active is active
    viewer.layers.remove(line)
    assert not dock.loop.outline.isChecked()
    hand.click(dock.loop.outline)
    first = desk.loop_layer()
    open_file(jpeg_loop(tmp_path / "b.dcm", FRAMES[:3]))
    qtbot.waitUntil(lambda: "image area" not in viewer.layers, timeout=5000)
    assert not dock.loop.outline.isVisible()
    assert not dock.loop.inside.isVisible()
    viewer.layers.selection.active = first
    assert dock.loop.inside.isVisible()
    assert not dock.loop.outline.isChecked()


# -- time ------------------------------------------------------------------------------------------------------------
def test_frame_and_time_follow_and_playback_is_as_fast_as_the_loop(
    dock: M2DinoDock, plain: Any, open_file: Open, tmp_path: Path
) -> None:
    desk, window = dock.workshop.desk, dock.viewer.window._qt_window
    saved = get_settings().application.playback_fps
    bar = window.statusBar().findChild(QLabel, "m2dino frame")

    def rate() -> float:
        (slider,) = frame_sliders(window)
        return slider.fps

    assert rate() == pytest.approx(25)
    desk.go_to(3)
    assert bar.isVisible()
    assert bar.text() == "frame 3 / 5 · 120 ms"
    dock.viewer.status = "napari has its own text"
    assert bar.text() == "frame 3 / 5 · 120 ms"
    first = desk.loop_layer()
    uneven = jpeg_loop(tmp_path / "b.dcm", FRAMES[:4], FrameTimeVector=[0, 20, 20, 80])
    open_file(uneven)
    assert dock.loop.time.text() == "Uneven times, 40 ms on average (25 fps), from its frame time vector"
    desk.go_to(3)
    assert bar.text() == "frame 3 / 3 · 120 ms"
    desk.go_to(2)
    assert bar.text() == "frame 2 / 3 · 40 ms"
    open_file(jpeg_loop(tmp_path / "c.dcm", FRAMES[:3]))
    assert rate() == saved
    assert bar.text() == "frame 2 / 2"
    open_file(jpeg_loop(tmp_path / "d.dcm", FRAMES[:1]))
    assert not bar.isVisible()
    dock.viewer.layers.selection.active = first
    assert bar.isVisible()
    (slider,) = frame_sliders(window)
    slider.fps = 7
    desk.go_to(1)
    assert slider.fps == 7, "a rate set by hand stays"
    assert get_settings().application.playback_fps == saved
    assert bar.isVisible()
    dock.viewer.window.remove_dock_widget(dock)
    assert rate() == saved
    assert window.statusBar().findChild(QLabel, "m2dino frame") is None


def test_moments_of_the_file_are_ticks_and_links(
    dock: M2DinoDock, open_file: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    elements = {
        "FrameTime": "40",
        "RWavePointer": [2],
        "FrameNumbersOfInterest": [2, 5],
        "FrameOfInterestDescription": ["ED", "ES"],
    }
    open_file(jpeg_loop(tmp_path / "a.dcm", FRAMES, **elements))
    desk, strip = dock.workshop.desk, dock.review.strip
    assert strip.describe(1) == "R wave and end-diastole: frame 1: blank"
    assert strip.describe(4).startswith("end-systole: ")
    assert strip.describe(3) == "frame 3: blank"
    tick = QPoint(round(4.5 / 6 * strip.width()) - 4, 3)
    before = strip.grab().toImage()
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=tick)
    assert desk.frame == 4
    dock.loop.moments.linkActivated.emit("1")
    assert desk.frame == 1
    assert "End-systole" in dock.loop.moments.text()
    open_file(jpeg_loop(tmp_path / "b.dcm", FRAMES, FrameTime="41"))
    assert strip.describe(1) == "frame 1: blank"
    assert not dock.loop.moments.isVisible()
    assert strip.grab().toImage() != before


# -- de-identified copy ----------------------------------------------------------------------------------------------
@pytest.fixture
def save_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function that answers the coming dialogs: Save as…, and this name."""

    def answer(target: Path) -> None:
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args, **_options: (str(target), ""))

        def press() -> None:
            dialog = QApplication.activeModalWidget()
            assert isinstance(dialog, CopyDialog)
            dialog.choose.click()

        QTimer.singleShot(100, press)

    return answer


def test_a_copy_says_what_was_removed_and_never_overwrites(
    dock: M2DinoDock, hand: Any, open_file: Open, tmp_path: Path, save_as: Any, qtbot: QtBot
) -> None:
    source = jpeg_loop(tmp_path / "a.dcm", FRAMES, SequenceOfUltrasoundRegions=[region()])
    original = source.read_bytes()
    open_file(source)
    copying = dock.workshop.tools.copying
    for name, told in (("copy", "identifiers and private data are gone"), ("a.dcm", "not overwritten")):
        save_as(tmp_path / name)
        hand.click(dock.loop.copy)
        assert not dock.loop.copy.isEnabled()
        qtbot.waitUntil(lambda: not copying.running, timeout=20_000)
        assert told in dock.message.text()
        assert dock.loop.copy.isEnabled()
    assert source.read_bytes() == original
    copy = tmp_path / "copy.dcm"
    assert PATIENT not in str(dcmread(copy).get("PatientName", ""))
    assert not m2dino.open_loop(copy)[0][:10].any(), "black outside the region"
    save_as(tmp_path / "again.dcm")
    hand.click(dock.loop.copy)
    qtbot.waitUntil(lambda: not copying.running, timeout=20_000)
    assert "all outside the image regions is black" in dock.message.text()
    assert "does not say whether text is burnt in" in dock.message.text()


def test_pictures_and_arrays_become_a_folder_of_pictures(
    dock: M2DinoDock, hand: Any, open_file: Open, tmp_path: Path, save_as: Any, qtbot: QtBot
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(FRAMES[index]).save(folder / f"{index}.png")
    open_file(folder)
    np.save(tmp_path / "array.npy", FRAMES)
    for source, frames in ((None, 3), (tmp_path / "array.npy", 6)):
        if source is not None:
            open_file(source)
        target = tmp_path / f"copy of {frames}"
        save_as(target)
        hand.click(dock.loop.copy)
        qtbot.waitUntil(lambda: not dock.workshop.tools.copying.running, timeout=20_000)
        assert len(list(target.iterdir())) == frames
        assert "without tags" in dock.message.text()


# -- two loops -------------------------------------------------------------------------------------------------------
def test_each_loop_shows_its_own_facts(
    dock: M2DinoDock, hand: Any, plain: Any, open_file: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    section, first = dock.loop, dock.workshop.desk.loop_layer()
    told = (section.name.text(), section.facts.text(), section.time.text(), section.scale.text())
    open_file(jpeg_loop(tmp_path / "b.dcm", FRAMES[:4], SequenceOfUltrasoundRegions=[region()], FrameTime="20"))
    second = dock.workshop.desk.loop_layer()
    assert "from the DICOM region" in section.scale.text()
    hand.click(section.calibrate)
    dock.viewer.layers.selection.active = first
    assert not section.form.isVisible(), "a line for one loop is not for another"
    qtbot.waitUntil(lambda: all(loop_of(layer) for layer in dock.viewer.layers), timeout=5000)
    assert (section.name.text(), section.facts.text(), section.time.text(), section.scale.text()) == told
    dock.viewer.layers.selection.active = second
    assert "20 ms a frame" in section.time.text()
    assert manual_calibration.recall(plain) is False
