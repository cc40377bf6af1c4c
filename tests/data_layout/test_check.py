"""A check names every fault at once, and finds none in sound data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.fmuia import check_root, check_roots, load_image, read_root
from m2dino.data.problems import Problem
from m2dino.data.samples import LabelledFrames, SampleKey
from m2dino.data.sound_rows import sound_rows
from m2dino.errors import DatasetError
from m2dino.tasks import builtin_tasks
from PIL import Image

from tests.tables import read_table, write_table


@pytest.fixture
def place(dataset: Path) -> Path:
    """Where the images and masks are; those of one recording look alike, so each is given a look of its own."""
    return dataset / "Segmentation" / "Two" / "CCAUS"


def listed(problems: list[Problem]) -> list[tuple[str, int, str]]:
    return [(problem.file.name, problem.line, problem.level) for problem in problems]


def edit(table: Path, line: int, **cells: object) -> None:
    """Change cells of a line, the header being line 1."""
    rows = read_table(table)
    rows[line - 2] |= {name: str(cell) for name, cell in cells.items()}
    write_table(table, rows)


def test_sound_data_has_no_problem(dataset: Path) -> None:
    assert check_root(dataset) == []


def test_every_fault_is_listed_with_its_place(dataset: Path, place: Path, write: Any, rows: Any) -> None:
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(place / "masks" / "rec0_slice_0.png")
    Image.fromarray(np.full((749, 709), 255, np.uint8)).save(place / "masks" / "rec1_slice_1.png")
    (place / "masks" / "rec2_slice_2.png").write_bytes(b"x")
    (place / "images" / "rec0_slice_3.jpg").write_bytes(b"x")
    Image.fromarray(np.full((749, 709), 2, np.uint8)).save(place / "masks" / "rec1_slice_4.png")
    detection, regression = rows["detection"], rows["regression"]
    detection[1]["x_max"] = 4000
    detection[2] = {**detection[2], "x_max": 12}
    detection[4] = {**detection[4], "x_min": 5000, "x_max": 5010}
    regression[0]["point_1_xy"] = "[5, 5"
    regression[1]["point_1_xy"] = "[NaN, NaN]"
    regression[4]["point_2_xy"] = "[-3, 10]"
    regression[5] |= {"point_1_xy": "", "point_2_xy": "[9000, 1]"}
    classification = rows["classification"]
    classification[1]["mask"] = 7
    write("anything.csv", [*detection, detection[5], {**detection[0], "y_max": 97}, {**detection[0], "x_max": 3}])
    write("Reg-Two_3.lumen_points.csv", regression)
    write("Cls-Three_2.view_cls.csv", classification)
    write("z.csv", [{**classification[0], "num_classes": 4, "image_path": classification[5]["image_path"]}])
    (dataset / "csv_files" / "odd.csv").write_text("a,task_id\n1,2\n")
    found = check_root(dataset)
    expected = [
        ("Cls-Three_2.view_cls.csv", 3, "error", "7"),
        ("Cls-Three_2.view_cls.csv", 5, "error", "damaged"),
        ("Reg-Two_3.lumen_points.csv", 2, "error", "not a point"),
        ("Reg-Two_3.lumen_points.csv", 3, "warning", "NaN"),
        ("Reg-Two_3.lumen_points.csv", 5, "error", "damaged"),
        ("Reg-Two_3.lumen_points.csv", 6, "warning", "outside"),
        ("Reg-Two_3.lumen_points.csv", 7, "warning", "no point is visible"),
        ("Seg-Two_1.carotid_artery.csv", 2, "error", "7 wide and 5 high"),
        ("Seg-Two_1.carotid_artery.csv", 3, "warning", "read as 0 and 1"),
        ("Seg-Two_1.carotid_artery.csv", 4, "error", "damaged"),
        ("Seg-Two_1.carotid_artery.csv", 5, "error", "damaged"),
        ("Seg-Two_1.carotid_artery.csv", 6, "error", "holds the value 2"),
        ("anything.csv", 3, "warning", "leaves the image"),
        ("anything.csv", 4, "warning", "the box is empty"),
        ("anything.csv", 5, "error", "damaged"),
        ("anything.csv", 6, "warning", "lies outside the image"),
        ("anything.csv", 8, "warning", "repeats anything.csv, line 7"),
        ("anything.csv", 9, "error", "another label: anything.csv, line 2"),
        ("anything.csv", 10, "error", "inside out"),
        ("odd.csv", 0, "error", "image_path, task_name, num_classes"),
        ("z.csv", 2, "error", "num_classes 4"),
        ("z.csv", 2, "error", "already has a row"),
    ]
    assert listed(found) == [(name, line, level) for name, line, level, _ in expected]
    for problem, (*_, says) in zip(found, expected, strict=True):
        assert says in problem.text


def test_all_faults_of_one_row_are_listed(dataset: Path) -> None:
    table = dataset / "csv_files" / "Cls-Three_2.view_cls.csv"
    edit(table, 3, image_path="../nowhere.png", mask=9, task_id="")
    problems = check_root(dataset)
    assert [problem.line for problem in problems] == [3, 3, 3]
    assert [next(word for word in ("task_id", "nowhere", "9") if word in p.text) for p in problems] == [
        "task_id",
        "nowhere",
        "9",
    ]


def test_a_column_that_is_missing_is_told_once(dataset: Path, write: Any, rows: Any) -> None:
    write("anything.csv", [{k: v for k, v in row.items() if k not in ("x_min", "y_max")} for row in rows["detection"]])
    write("Reg-Two_3.lumen_points.csv", [{k: v for k, v in r.items() if k != "point_2_xy"} for r in rows["regression"]])
    problems = check_root(dataset)
    assert listed(problems) == [("Reg-Two_3.lumen_points.csv", 1, "warning"), ("anything.csv", 1, "error")]
    assert "point_2_xy" in problems[0].text
    assert "x_min, y_max" in problems[1].text


def test_a_line_that_is_too_long_does_not_hide_the_next(dataset: Path) -> None:
    table = dataset / "csv_files" / "anything.csv"
    lines = table.read_text().splitlines()
    lines[1] += ",too,many"
    table.write_text("\n".join(lines).replace(",95.5", ",nonsense") + "\n")
    assert [(problem.line, problem.level) for problem in check_root(dataset)] == [
        (line, "error") for line in range(2, 8)
    ]


def test_the_same_picture_under_two_names_is_told(dataset: Path, place: Path) -> None:
    shutil.copy(place / "images" / "rec0_slice_0.jpg", place / "images" / "rec0_slice_3.jpg")
    problems = check_root(dataset)
    assert listed(problems) == [
        ("Cls-Three_2.view_cls.csv", 5, "warning"),
        ("Reg-Two_3.lumen_points.csv", 5, "warning"),
        ("Seg-Two_1.carotid_artery.csv", 5, "warning"),
        ("anything.csv", 5, "warning"),
    ]
    edit(dataset / "csv_files" / "Cls-Three_2.view_cls.csv", 5, mask=2)
    assert "another class" in check_root(dataset)[0].text


def make_val(dataset: Path, keep: dict[str, list[int]]) -> Path:
    """Copy the data set beside itself as `val`, keeping some lines of some tables; recordings get other names."""
    val = dataset.parent / "val"
    shutil.copytree(dataset, val)
    for table in (val / "csv_files").iterdir():
        lines = table.read_text().splitlines()
        kept = [lines[line - 1] for line in keep.get(table.name, [])]
        if kept:
            table.write_text("\n".join([lines[0], *kept]).replace("/rec", "/other") + "\n")
        else:
            table.unlink()
    for file in (val / "Segmentation" / "Two" / "CCAUS").rglob("rec*"):
        file.rename(file.with_name(file.name.replace("rec", "other")))
    return val


def test_a_picture_of_both_splits_is_an_error_whatever_its_tasks(dataset: Path, place: Path) -> None:
    """The training set has the picture for all tasks, the validation set under another name for one."""
    val = make_val(dataset, {"Cls-Three_2.view_cls.csv": [2], "anything.csv": [7]})
    images = val / "Segmentation" / "Two" / "CCAUS" / "images"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (749, 709, 3), dtype=np.uint8)).save(images / "other2_slice_5.jpg")
    problems = check_roots([dataset, val])
    assert listed(problems) == [("Cls-Three_2.view_cls.csv", 2, "error")]
    assert problems[0].file.parent.parent == val
    assert "../Segmentation/Two/CCAUS/images/rec0_slice_0.jpg of train" in problems[0].text


def test_nearly_the_same_picture_and_the_same_subject_are_warnings(dataset: Path) -> None:
    val = make_val(dataset, {"Cls-Three_2.view_cls.csv": [2, 3], "anything.csv": [2]})
    images = val / "Segmentation" / "Two" / "CCAUS" / "images"
    frame = Image.fromarray(load_image(images / "other0_slice_0.jpg"))
    frame.resize((400, 422)).save(images / "other0_slice_0.jpg", quality=60)
    Image.fromarray(255 - np.asarray(frame)).save(images / "other1_slice_1.jpg")
    problems = check_roots([dataset, val])
    assert [(p.line, p.level, "nearly the same" in p.text) for p in problems] == [(2, "warning", True)]
    table = val / "csv_files" / "Cls-Three_2.view_cls.csv"
    (images / "rec1_slice_9.jpg").write_bytes((images / "other1_slice_1.jpg").read_bytes())
    edit(table, 3, image_path="../Segmentation/Two/CCAUS/images/rec1_slice_9.jpg")
    found = [p for p in check_roots([dataset, val]) if "subject" in p.text]
    assert [(p.line, p.level) for p in found] == [(3, "warning")]
    assert "recording:rec1" in found[0].text


def test_tasks_must_agree_over_both_splits(dataset: Path) -> None:
    val = make_val(dataset, {"Cls-Three_2.view_cls.csv": [2]})
    images = val / "Segmentation" / "Two" / "CCAUS" / "images"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50), dtype=np.uint8)).save(
        images / "other0_slice_0.jpg"
    )
    edit(val / "csv_files" / "Cls-Three_2.view_cls.csv", 2, num_classes=5)
    assert [p.text for p in check_roots([dataset, val]) if "num_classes 5" in p.text]


def command(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "m2dino", "dataset", "check", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_command_fails_on_errors_but_not_on_warnings(dataset: Path) -> None:
    table = dataset / "csv_files" / "anything.csv"
    edit(table, 2, x_max=4000)
    done = command(dataset, "--json")
    [warning] = json.loads(done.stdout)
    assert (warning["file"], warning["line"], warning["level"]) == (str(table), 2, "warning")
    assert done.returncode == 0
    edit(table, 3, x_max=-5)
    done = command(dataset)
    assert done.returncode == 1
    assert f"{table}, line 2: warning: the box leaves the image" in done.stdout
    assert f"{table}, line 3: the box is inside out" in done.stdout
    assert done.stdout.endswith("1 error, 1 warning.\n")


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="csv_files"):
        check_root(tmp_path)


# --- what training takes ------------------------------------------------------------------------------------------


def test_training_leaves_out_and_counts_rows_without_anything_to_learn(dataset: Path) -> None:
    boxes, points = dataset / "csv_files" / "anything.csv", dataset / "csv_files" / "Reg-Two_3.lumen_points.csv"
    edit(boxes, 2, x_min=20, x_max=20)
    edit(boxes, 3, y_min=9000, y_max=9001)
    edit(points, 4, point_1_xy="[nan, 3]")
    boxes.write_text(boxes.read_text() + boxes.read_text().splitlines()[-1] + "\n")
    rows = read_root(dataset)
    sound = sound_rows(rows)
    assert [(p.file.name, p.line) for p in sound.left_out] == [
        ("Reg-Two_3.lumen_points.csv", 4),
        ("anything.csv", 2),
        ("anything.csv", 3),
        ("anything.csv", 8),
    ]
    left = {(p.file, p.line) for p in sound.left_out}
    assert sound.rows == [row for row in rows if (row.csv, row.line) not in left], "the others, unchanged, in order"


def test_training_refuses_what_would_corrupt_it(dataset: Path, place: Path) -> None:
    for index in range(4):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(place / "masks" / f"rec{index % 3}_slice_{index}.png")
    with pytest.raises(DatasetError) as caught:
        sound_rows(read_root(dataset))
    message = str(caught.value)
    assert "Seg-Two_1.carotid_artery.csv, line 2: the mask" in message
    assert "1 more; `m2dino dataset check`" in message


def test_a_mask_of_another_size_is_never_stretched(dataset: Path, place: Path) -> None:
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(place / "masks" / "rec0_slice_0.png")
    rows = read_root(dataset, ["carotid_artery"])
    frames = LabelledFrames(rows, {"carotid_artery": builtin_tasks()["carotid_artery"]}, 64)
    with pytest.raises(DatasetError, match="line 2: the mask is 7 wide and 5 high"):
        frames[SampleKey(0, 1)]
    assert frames[SampleKey(1, 1)].target.any()
