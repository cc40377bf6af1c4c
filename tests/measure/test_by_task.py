"""What a person is told of the values of a task: names, units, frames, and why a figure is missing."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m2dino.cine.calibration import Calibration
from m2dino.cine.markers import Marker
from m2dino.cine.opening import open_loop
from m2dino.cine.regions import Region
from m2dino.errors import UsageError
from m2dino.measure import Measurement, measure, measure_loop, rows, write_table
from m2dino.measure.fetal import gestational_age
from m2dino.measure.lines import angle_degrees
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

from tests.measure.shapes import SHAPE, BlankLoop, ellipse

TASKS = builtin_tasks()
HEAD_POINTS = Task(
    "head_biometry",
    "regression",
    tuple(Label(name) for name in ("OFD left", "OFD right", "BPD upper", "BPD lower")),
    "Head",
)


def figures(value: Value, task: Task, loop: BlankLoop, frame: int = 0) -> dict[str, Measurement]:
    return {one.name: one for one in measure(value, task, loop, frame)}


def mask(*regions: np.ndarray) -> Mask:
    labels = np.zeros(SHAPE, np.uint8)
    for label, region in enumerate(regions, start=1):
        labels[region] = label
    return Mask(labels)


def test_a_femur_is_as_long_as_its_pixels_are_large() -> None:
    points = Keypoints(np.array([[10.0, 20.0], [40.0, 60.0]]))
    loop = BlankLoop(pixel=(0.5, 1.0))
    found = figures(points, TASKS["fetal_femur"], loop, 2)
    assert found["femur length"].value == pytest.approx(math.hypot(15, 40))
    assert (found["femur length"].unit, found["femur length"].frame) == ("mm", 2)
    cm = math.hypot(1.5, 4)
    assert found["gestational age by femur length"].value == pytest.approx(10.35 + 2.46 * cm + 0.17 * cm**2)


def test_without_a_scale_lengths_are_pixels_and_there_is_no_age() -> None:
    points = Keypoints(np.array([[10.0, 20.0], [40.0, 60.0]]))
    found = figures(points, TASKS["fetal_femur"], BlankLoop())
    assert (found["femur length"].value, found["femur length"].unit) == (pytest.approx(50), "px")
    age = found["gestational age by femur length"]
    assert age.value is None
    assert "millimetres" in age.reason


def test_points_in_two_images_have_no_millimetres() -> None:
    loop = BlankLoop()
    halves = [(0, 0, 150, 80), (0, 80, 150, 170)]
    loop.regions = tuple(Region(box, "tissue", Calibration(0.5, 0.5, box, "region"), "region") for box in halves)
    loop.calibration = loop.regions[0].calibration
    inside, astride = (Keypoints(np.array([[10.0, 20.0], [40.0, x]])) for x in (60.0, 100.0))
    assert figures(inside, TASKS["FUGC"], loop)["cervical length"].unit == "mm"
    assert figures(astride, TASKS["FUGC"], loop)["cervical length"].unit == "px"


def test_a_hidden_point_leaves_no_length() -> None:
    points = Keypoints(np.array([[10.0, 20.0], [np.nan, np.nan]]))
    found = figures(points, TASKS["FUGC"], BlankLoop(pixel=(1, 1)))["cervical length"]
    assert found.value is None
    assert "not visible" in found.reason


@given(st.floats(5, 175), st.floats(0, 2 * math.pi), st.booleans(), st.floats(0.5, 2))
def test_the_angle_of_progression_is_that_drawn(angle: float, turn: float, swapped: bool, height: float) -> None:
    lower = np.array([70.0, 80.0])
    unit = [np.array([math.cos(a), math.sin(a)]) for a in (turn, turn + math.radians(angle))]
    # The touch is nearer to the lower end than to the upper one, in millimetres, as in a patient.
    ends = [lower, lower + 30 * unit[0]][:: -1 if swapped else 1]
    drawn = np.array([*ends, lower + 12 * unit[1]]) / np.array([height, 1.0])
    found = figures(Keypoints(drawn), TASKS["IUGC"], BlankLoop(pixel=(height, 1.0)))["angle of progression"]
    assert found.value == pytest.approx(angle, abs=1e-6)
    assert found.remark == ""


def test_the_angle_of_progression_of_masks_encloses_the_head() -> None:
    # A level symphysis whose lower end is at x = 0; a head whose tangent from there is known.
    symphysis = ellipse(24, 8, math.pi / 2, (1, 1), (-40, -12))
    head = ellipse(40, 40, 0, (1, 1), (10, 20))
    found = figures(mask(symphysis, head), TASKS["head_symphysis_multi"], BlankLoop())["angle of progression"]
    distance = math.hypot(50, 20)
    to_middle = math.degrees(math.acos(-20 / distance))
    assert found.value == pytest.approx(to_middle + math.degrees(math.asin(20 / distance)), abs=1.5)
    assert "square" in found.remark


def test_a_head_by_mask_and_by_points_agree() -> None:
    pixel = (0.6, 0.8)
    loop = BlankLoop(pixel=pixel)
    by_mask = figures(mask(ellipse(80, 62, 0, pixel)), TASKS["fetal_head"], loop)
    middle = (np.array(SHAPE) - 1) / 2
    ends = np.array([(-40, 0), (40, 0), (0, -31), (0, 31)]) / np.array(pixel) + middle
    by_points = figures(Keypoints(ends), HEAD_POINTS, loop)
    for name in ("head circumference", "biparietal diameter", "occipitofrontal diameter"):
        assert by_points[name].unit == "mm"
        assert by_mask[name].value == pytest.approx(by_points[name].value, rel=0.01)
    cm = by_points["head circumference"].value / 10
    age = by_points["gestational age by head circumference"]
    assert age.value == pytest.approx(8.96 + 0.54 * cm + 0.0003 * cm**3)


def test_a_stray_piece_spoils_no_diameter() -> None:
    lumen = ellipse(30, 20, 0.4, (1, 1))
    stray = ellipse(8, 8, 0, (1, 1), (60, 70))
    clean, spoilt = (
        figures(mask(region), TASKS["carotid_artery"], BlankLoop(pixel=(1, 1))) for region in (lumen, lumen | stray)
    )
    assert spoilt["lumen diameter"] == clean["lumen diameter"]
    assert spoilt["lumen area"].value == clean["lumen area"].value + stray.sum()


def test_half_a_head_has_no_circumference() -> None:
    half = ellipse(80, 62, 0, (1, 1)) & (np.indices(SHAPE)[1] < 85)
    notched = half | (ellipse(80, 62, 0, (1, 1)) & (np.indices(SHAPE)[0] < 60))
    found = figures(mask(notched), TASKS["fetal_head"], BlankLoop())["head circumference"]
    assert found.value is None
    assert "ellipse" in found.reason


@pytest.mark.parametrize(("mm", "weeks"), [(175.0, 20.0), (285.0, 31.3), (340.0, 39.1)])
def test_the_age_by_circumference_is_that_worked_out_by_hand(mm: float, weeks: float) -> None:
    found = gestational_age(Measurement("head circumference", mm, "mm"))
    assert found.value == pytest.approx(weeks, abs=0.1)


@pytest.mark.parametrize(("name", "mm"), [("head circumference", 40.0), ("femur length", 95.0)])
def test_outside_its_range_the_formula_gives_no_age(name: str, mm: float) -> None:
    found = gestational_age(Measurement(name, mm, "mm"))
    assert found.value is None
    assert "12 to 42" in found.reason


def beating(loop: BlankLoop, sizes: list[float]) -> dict[str, list[Measurement]]:
    values = [(frame, mask(ellipse(1.5 * size, size, 0, (1, 1)))) for frame, size in enumerate(sizes)]
    found: dict[str, list[Measurement]] = {}
    for one in measure_loop(values, TASKS["cardiac_multi"], loop):
        found.setdefault(one.name, []).append(one)
    return found


def test_ejection_fraction_and_area_change_of_a_beating_ellipsoid() -> None:
    found = beating(BlankLoop(4), [50, 45, 40, 48])
    (fraction,), (change,) = found["ejection fraction"], found["fractional area change"]
    assert fraction.value == pytest.approx(100 * (1 - 0.8**3), abs=1.5)
    assert change.value == pytest.approx(100 * (1 - 0.8**2), abs=1)
    assert "frames 0 (end-diastole) and 2 (end-systole)" in fraction.inputs
    assert (fraction.frame, fraction.unit) == (None, "%")
    assert "square" in fraction.remark
    assert [one.frame for one in found["left ventricular volume"]] == [0, 1, 2, 3]


def test_the_markers_of_the_file_come_before_the_extremes() -> None:
    loop = BlankLoop(4)
    loop.markers = (Marker(1, "end-diastole"), Marker(3, "end-systole"), Marker(0, "R wave"))
    (change,) = beating(loop, [50, 45, 40, 42])["fractional area change"]
    assert change.value == pytest.approx(100 * (1 - (42 / 45) ** 2), abs=1)
    assert "markers of the file" in change.inputs


def test_one_frame_has_no_ejection_fraction() -> None:
    (fraction,) = beating(BlankLoop(1), [50])["ejection fraction"]
    assert fraction.value is None
    assert "two frames" in fraction.reason


def test_a_box_has_two_sides_and_a_class_has_none() -> None:
    found = figures(Box(10, 20, 30, 60), TASKS["thyroid_nodule_det"], BlankLoop(pixel=(0.5, 0.25)))
    assert {name: one.value for name, one in found.items()} == {"nodule height": 10.0, "nodule width": 10.0}
    assert measure(ClassProbabilities.certain(0, 2), TASKS["breast_2cls"], BlankLoop(), 0) == ()


def test_every_segmentation_task_is_measured_on_an_empty_mask_too() -> None:
    for task in TASKS:
        if task.type == "segmentation":
            found = measure(Mask(np.zeros(SHAPE, np.uint8)), task, BlankLoop(), 0)
            assert len(found) >= 2 * (task.num_classes - 1)
            assert all(one.value is None and one.reason for one in found)


def test_an_angle_without_a_ray_is_no_number() -> None:
    assert math.isnan(angle_degrees(np.zeros(2), np.zeros(2), np.ones(2)))


def test_a_table_is_read_back_with_times_and_without_names(tmp_path: Path) -> None:
    loop = BlankLoop(4, pixel=(0.5, 1.0))
    loop.path = Path("Doe^Jane.dcm")
    loop.set_times(0.04, "frame time")
    found = measure(Keypoints(np.array([[10.0, 20.0], [40.0, 60.0]])), TASKS["FUGC"], loop, 3)
    path = tmp_path / "table.csv"
    write_table(path, rows(found, "FUGC", loop))
    with path.open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["frame"], row["time_ms"], row["unit"]) == ("3", "120.0", "mm")
    assert float(row["value"]) == pytest.approx(math.hypot(15, 40), rel=1e-5)
    assert "Jane" not in path.read_text(encoding="utf-8")


def test_a_table_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"table\.csv"):
        write_table(tmp_path / "file" / "table.csv", [])


@pytest.mark.skipif(not os.environ.get("M2DINO_TEST_LOOPS"), reason="M2DINO_TEST_LOOPS names no folder of loops")
def test_the_simulated_heart_has_the_ejection_fraction_it_was_made_with() -> None:
    import json

    from PIL import Image

    folder = Path(os.environ["M2DINO_TEST_LOOPS"]) / "simulated" / "heart"
    loop = open_loop(folder / "frames")
    truth = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    loop.set_scale(Calibration(*truth["pixel_mm"], None, "labels"), "labels")
    files = sorted((folder / "masks").glob("*.png"))
    values = [(i, Mask(np.asarray(Image.open(file)))) for i, file in enumerate(files)]
    found = {one.name: one for one in measure_loop(values, TASKS["cardiac_multi"], loop)}
    least = min(frame["scale"] for frame in truth["frames"])
    assert found["fractional area change"].value == pytest.approx(100 * (1 - least**2), abs=2)
    assert found["ejection fraction"].value == pytest.approx(100 * (1 - least**3), abs=3)
