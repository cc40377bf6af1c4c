"""Figures of what stands on the layers, and labels to other programs and back, in a real window."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.cine.calibration import Calibration
from m2dino.values import Mask, Prediction
from qtpy.QtCore import QPoint, Qt

from napari_m2dino.applying import propose
from napari_m2dino.exporting import Scope, Wish, exportable
from napari_m2dino.origins import Origin, carried_from, imported_from, origin_of
from napari_m2dino.session import FrameState
from napari_m2dino.widgets import export_dialog
from napari_m2dino.widgets.dock import M2DinoDock
from napari_m2dino.widgets.export_dialog import ExportDialog, ImportDialog


def heart(size: tuple[int, int], radius: int) -> Mask:
    """Return a cavity (class 1) of this radius."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return Mask(((rows - 100) ** 2 + (columns - 150) ** 2 <= radius**2).astype(np.uint8))


def measured(dock: M2DinoDock, hand: Any) -> None:
    """Wait until what stands there has been measured."""
    hand.qtbot.wait(350)
    hand.qtbot.waitUntil(lambda: not dock.workshop.hand.measuring.errand.running, timeout=60_000)
    hand.qtbot.wait(50)


def test_figures_of_the_frame_and_of_the_loop(echo_dock: M2DinoDock, hand: Any, tmp_path: Path) -> None:
    dock, desk, measuring = echo_dock, echo_dock.workshop.desk, echo_dock.workshop.hand.measuring
    desk.choose_task(desk.tasks["cardiac_multi"])
    hand.click(dock.review.new_label)
    size = (desk.loop.height, desk.loop.width)
    radii = {4: 40, 5: 35, 6: 25, 7: 20, 8: 30}
    desk.result.write({frame: heart(size, radius) for frame, radius in radii.items()})
    desk.go_to(4)
    hand.qtbot.wait(400)
    assert measuring.figures is None, "nothing is measured while nobody looks"
    dock.measure.arrow.click()
    measured(dock, hand)
    assert f"{np.count_nonzero(heart(size, 40).labels)} px²" in dock.measure.figures.text()
    name = dock.measure.which.currentText()
    assert measuring.figures.series(name).keys() == radii.keys()
    assert "ejection fraction" in dock.measure.whole.text()
    assert "frames 4 (end-diastole) and 7 (end-systole)" in dock.measure.whole.toolTip()
    figures = measuring.figures

    # a stroke is measured anew, the other frames are not
    hand.paint(dock, 7, 100, 150, label=1, size=120)
    measured(dock, hand)
    now = measuring.figures
    assert now.series(name)[7] > figures.series(name)[4]
    assert all(now.each[frame] is figures.each[frame] for frame in (4, 5, 6, 8))
    plot = dock.measure.plot
    hand.qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(plot.width() - 6, 50))
    assert desk.frame == 29
    measured(dock, hand)
    assert "Nothing to measure on frame 29" in dock.measure.nothing.text()

    # the table of all, to look at and as a file
    hand.click(dock.measure.table)
    table = dock.measure.dialog.table
    assert table.rowCount() == 5
    table.cellClicked.emit(1, 0)
    assert desk.frame == 5
    measuring.write_csv(tmp_path / "figures.csv")
    hand.qtbot.waitUntil(lambda: "Table written" in dock.message.text(), timeout=10_000)
    with (tmp_path / "figures.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    areas = {line["frame"]: line for line in lines if line["measurement"] == "LV cavity area"}
    assert set(areas) == {"4", "5", "6", "7", "8"}
    assert areas["4"]["unit"] == "px²", "no millimetres without a calibration"
    assert any(line["measurement"] == "ejection fraction" and line["unit"] == "%" for line in lines)
    measuring.write_csv(tmp_path / "figures.csv" / "in a file.csv")
    hand.qtbot.waitUntil(lambda: "cannot be written" in dock.message.text(), timeout=10_000)
    dock.measure.dialog.close()

    # millimetres with a scale, and only then; every frame is measured anew
    calibration = Calibration(0.5, 0.5, None, "set by hand")
    desk.loop.set_scale(calibration, "")
    desk.scale_changed.emit()
    measured(dock, hand)
    desk.go_to(4)
    area = np.count_nonzero(heart(size, 40).labels) / 4
    assert f"{area:.1f} mm²" in dock.measure.figures.text()
    assert measuring.figures.unit(name) == "mm²"
    dock.measure.arrow.click()
    assert not measuring._looked_at


def test_a_table_asked_for_while_the_loop_is_measured_waits_for_all_of_it_and_for_the_scale_of_the_end(
    echo_dock: M2DinoDock, hand: Any, tmp_path: Path
) -> None:
    dock, desk, measuring = echo_dock, echo_dock.workshop.desk, echo_dock.workshop.hand.measuring
    desk.choose_task(desk.tasks["cardiac_multi"])
    hand.click(dock.review.new_label)
    size = (desk.loop.height, desk.loop.width)
    desk.result.write({frame: heart(size, 20 + frame) for frame in range(30)})
    file = tmp_path / "figures.csv"
    asked = []

    def ask(_known: object) -> None:
        """When the first frame has been measured, by the scale before."""
        if not asked:
            asked.append(len(measuring.figures.each))
            measuring.write_csv(file)
            desk.loop.set_scale(Calibration(0.5, 0.5, None, "set by hand"), "")
            desk.scale_changed.emit()

    measuring.errand.handed.connect(ask)
    dock.measure.arrow.click()
    hand.qtbot.waitUntil(file.exists, timeout=60_000)
    assert asked == [1]
    with file.open(newline="") as opened:
        areas = [line for line in csv.DictReader(opened) if line["measurement"] == "LV cavity area"]
    assert [int(line["frame"]) for line in areas] == list(range(30))
    assert {line["unit"] for line in areas} == {"mm²"}


@pytest.mark.parametrize("late_s", [0.0, 1.0], ids=["while it reads", "when all is read"])
def test_an_import_that_is_cancelled_changes_nothing(
    echo_dock: M2DinoDock, hand: Any, tmp_path: Path, late_s: float
) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    hand.click(dock.review.new_label)
    desk.go_to(2)
    desk.result.write({2: heart((desk.loop.height, desk.loop.width), 20)})
    hand.click(dock.review.accept)
    hand.all_saved(dock)
    assert "1 frame written" in exported(dock, hand, Wish("coco", Scope.LOOP, tmp_path / "coco"))
    hand.click(dock.review.take_back)
    desk.result.write({2: None})
    exchange = dock.workshop.hand.exchange
    exchange.import_labels(tmp_path / "coco" / "annotations" / "carotid_artery.json")
    time.sleep(late_s)  # the window is busy meanwhile and hears of nothing
    exchange.cancel()
    hand.qtbot.waitUntil(lambda: not exchange.errand.running, timeout=60_000)
    assert "nothing was changed" in dock.message.text()
    assert desk.session.proposal(2) is None


def exported(dock: M2DinoDock, hand: Any, wish: Wish) -> str:
    """Export, wait, and return what the dock says."""
    exchange = dock.workshop.hand.exchange
    exchange.export(wish)
    hand.qtbot.waitUntil(lambda: not exchange.errand.running, timeout=60_000)
    hand.qtbot.wait(50)
    return str(dock.message.text())


def imported(dock: M2DinoDock, hand: Any, path: Path) -> str:
    """Import, wait, and return what the dock says."""
    exchange = dock.workshop.hand.exchange
    exchange.import_labels(path)
    hand.qtbot.waitUntil(lambda: not exchange.errand.running, timeout=60_000)
    hand.qtbot.wait(50)
    return str(dock.message.text())


def test_labels_go_to_other_programs_and_come_back(echo_dock: M2DinoDock, hand: Any, tmp_path: Path) -> None:
    dock, desk = echo_dock, echo_dock.workshop.desk
    assert "Nothing to export" in exported(dock, hand, Wish("coco", Scope.LOOP, tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    hand.click(dock.review.new_label)
    size = (desk.loop.height, desk.loop.width)
    for frame, radius in ((2, 20), (3, 30), (4, 40)):
        desk.go_to(frame)
        desk.result.write({frame: heart(size, radius)})
        if frame < 4:
            hand.click(dock.review.accept)
        else:
            desk.result.changed.emit(frame)
            hand.qtbot.wait(120)
    hand.all_saved(dock)
    said = exported(dock, hand, Wish("coco", Scope.LOOP, tmp_path / "coco"))
    assert "2 frames written as coco" in said
    assert "1 frame with a change that you have not accepted" in said
    file = tmp_path / "coco" / "annotations" / "carotid_artery.json"
    assert {image["frame"] for image in json.loads(file.read_text())["images"]} == {2, 3}
    assert "already" in exported(dock, hand, Wish("coco", Scope.LOOP, tmp_path / "coco"))
    for kind, scope in (("fmuia", Scope.TASK), ("png", Scope.LOOP), ("csv", Scope.FOLDER), ("dicom-seg", Scope.LOOP)):
        assert "2 frames written" in exported(dock, hand, Wish(kind, scope, tmp_path / kind)), kind
    assert list((tmp_path / "dicom-seg").glob("*.dcm"))

    # back: frames of the person's own stay, taken-back ones get the labels as proposals
    mine = desk.result.layer.data[3].copy()
    desk.go_to(2)
    hand.click(dock.review.take_back)
    desk.result.write({2: None})
    hand.all_saved(dock)
    assert "Labels imported on 1 frame. 1 of yours stay" in imported(dock, hand, file)
    assert np.array_equal(desk.result.layer.data[2], heart(size, 20).labels)
    assert np.array_equal(desk.result.layer.data[3], mine)
    assert desk.session.state(2) is FrameState.PROPOSED
    assert origin_of(desk.session.maker(2)) is Origin.IMPORTED
    assert "imported from COCO" in dock.review.frame.text()
    assert "Labels imported on 1 frame." in imported(dock, hand, tmp_path / "fmuia")
    assert "imported from FM_UIA" in dock.review.frame.text()
    file.write_text("{}")
    assert "no COCO file" in imported(dock, hand, file)


def test_proposals_are_exported_when_asked_for_and_only_a_models(echo_dock: M2DinoDock, hand: Any) -> None:
    desk = echo_dock.workshop.desk
    hand.click(echo_dock.review.new_label)
    label = heart((desk.loop.height, desk.loop.width), 20)
    makers = {3: "a model", 4: carried_from(3), 5: imported_from("COCO")}
    propose(desk.result, [Prediction(frame, desk.task.id, label, 0.9, maker) for frame, maker in makers.items()])
    assert exportable(desk.session, proposals=False) == ({}, 0)
    assert exportable(desk.session, proposals=True) == ({3: "proposed"}, 0)


def test_the_dialogs_offer_what_the_task_can_be_written_as(
    echo_dock: M2DinoDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = echo_dock.workshop.desk.tasks
    boxes = ExportDialog(tasks["thyroid_nodule_det"], echo_dock)
    kinds = [boxes.kind.itemData(place) for place in range(boxes.kind.count())]
    assert kinds == ["coco", "fmuia", "csv", "dicom-sr"]
    boxes.kind.setCurrentIndex(3)
    assert boxes.choose.isEnabled()
    assert boxes.wish(Path("x")) == Wish("dicom-sr", Scope.LOOP, Path("x"))
    monkeypatch.setattr(export_dialog, "find_spec", lambda _name: None)
    boxes.refresh()
    assert not boxes.choose.isEnabled()
    assert "napari-m2dino[dicom-export]" in boxes.about.text()
    classes = ImportDialog(tasks["breast_2cls"], echo_dock)
    assert not classes.coco.isEnabled()
    assert classes.fmuia.isEnabled()
    for dialog in (boxes, classes):
        dialog.close()
        dialog.deleteLater()
