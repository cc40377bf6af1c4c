"""Reading data sets in the FM_UIA layout: what is accepted, and what each fault says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.fmuia import find_roots, image_size, load_image, load_mask, read_root, tasks_of
from m2dino.errors import DatasetError, MissingFileError, PathEscapesRootError, TaskError
from m2dino.tasks import builtin_tasks
from m2dino.values import Box, Keypoints
from PIL import Image


def test_every_type_is_read_with_coordinates_in_y_x_order(dataset: Path) -> None:
    rows = read_root(dataset)
    by_type = {row.type: row for row in rows if "slice_2" in row.image_path}
    assert len(rows) == 24
    assert by_type["detection"].label == Box(20, 12, 95.5, 110)
    assert by_type["classification"].label == 2
    assert by_type["regression"].label == Keypoints(np.array([[40, 32.5], [np.nan, np.nan]]))
    mask_row = by_type["segmentation"]
    assert load_mask(mask_row).labels.shape == load_image(mask_row.image).shape[:2] == image_size(mask_row.image)
    assert set(np.unique(load_mask(mask_row).labels)) == {0, 1}
    assert mask_row.group == by_type["regression"].group == "recording:rec2"


def test_only_the_asked_for_tasks_are_looked_at(dataset: Path, write: Any, rows: Any) -> None:
    write("broken.csv", [{**rows["classification"][0], "task_id": "other", "mask": "no number"}])
    assert {row.task_id for row in read_root(dataset, ["lumen_det"])} == {"lumen_det"}
    with pytest.raises(DatasetError, match=r"broken\.csv, line 2"):
        read_root(dataset)


def test_marks_order_of_columns_and_semicolons_do_not_matter(root: Path, rows: Any) -> None:
    table = root / "csv_files" / "from a spreadsheet.csv"
    names = ["mask", "num_classes", "Remark", "task_name", "task_id", "image_path"]
    lines = [";".join(names)]
    for row in rows["classification"]:
        lines += [";".join(str({**row, "Remark": "ä"}[name]) for name in names), ""]
    table.write_text("\r\n".join(lines), encoding="utf-8-sig")
    found = read_root(root)
    assert [row.label for row in found] == [0, 1, 2, 0, 1, 2]
    assert found[0].image_path == rows["classification"][0]["image_path"]
    assert found[1].line == 4


def test_tables_joined_by_other_programs_are_read(root: Path, write: Any, rows: Any) -> None:
    every = [row for kind in rows for row in rows[kind]]
    names = list(dict.fromkeys(name for row in every for name in row))
    write("all.csv", [{name: row.get(name, "nan") for name in names} | {"num_classes": "2.0"} for row in every[:6]])
    assert len(read_root(root)) == 6


def test_the_users_own_group_column_wins(root: Path, write: Any, rows: Any) -> None:
    write("own.csv", [{**row, "subject_id": f"s{i // 2}"} for i, row in enumerate(rows["detection"])])
    assert [row.group for row in read_root(root)] == ["s0", "s0", "s1", "s1", "s2", "s2"]


def test_hidden_labels_are_read_when_labels_are_not_asked_for(dataset: Path, write: Any, rows: Any) -> None:
    shutil.rmtree(dataset / "Segmentation" / "Two" / "CCAUS" / "masks")
    bare = ("image_path", "task_id", "task_name", "num_classes")
    write("anything.csv", [{name: row[name] for name in bare} for row in rows["detection"]])
    found = {row.type: row for row in read_root(dataset, labels=False)}
    assert found["segmentation"].mask is None
    assert found["segmentation"].mask_path is not None
    assert found["detection"].label is None
    assert found["classification"].label is not None


def test_roots_are_found_above_and_below(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "val")
    assert find_roots(dataset) == [dataset]
    assert find_roots(dataset / "csv_files") == [dataset]
    assert find_roots(tmp_path) == [tmp_path / "train", tmp_path / "val"]
    with pytest.raises(DatasetError, match="csv_files"):
        find_roots(dataset / "Segmentation")
    with pytest.raises(MissingFileError):
        find_roots(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("kind", "change", "error", "says"),
    [
        ("segmentation", {"mask_path": "../Segmentation/none.png"}, MissingFileError, "none.png"),
        ("segmentation", {"mask_path": ""}, DatasetError, "mask_path"),
        ("segmentation", {"image_path": "../../outside.jpg"}, PathEscapesRootError, "leads out"),
        ("segmentation", {"image_path": "/etc/hostname"}, PathEscapesRootError, "leads out"),
        ("segmentation", {"image_path": "../gone.jpg"}, MissingFileError, "gone.jpg"),
        ("segmentation", {"image_path": "x" * 5000}, MissingFileError, "usable path"),
        ("segmentation", {"task_name": "segmentierung"}, DatasetError, "segmentierung"),
        ("segmentation", {"num_classes": "two"}, DatasetError, "num_classes"),
        ("classification", {"mask": 3}, DatasetError, "0 to 2"),
        ("classification", {"mask": 1.5}, DatasetError, "whole number"),
        ("classification", {"task_id": " "}, DatasetError, "task_id"),
        ("detection", {"x_max": 3}, DatasetError, "inside out"),
        ("detection", {"y_min": "inf"}, DatasetError, "y_min"),
        ("regression", {"point_1_xy": "(1, 2)"}, DatasetError, "point_1_xy"),
        ("regression", {"point_1_xy": "[1, 2, 3]"}, DatasetError, "point_1_xy"),
        ("regression", {"num_classes": 1}, DatasetError, "point_2_xy"),
    ],
)
def test_a_fault_names_the_table_and_the_line(
    root: Path, write: Any, rows: Any, kind: str, change: dict[str, object], error: type[Exception], says: str
) -> None:
    (root.parent / "outside.jpg").write_bytes(b"")
    table = rows[kind]
    table[3] = {**table[3], **change}
    write("table.csv", table)
    with pytest.raises(error, match=r"table\.csv, line 5: .*") as caught:
        read_root(root)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_link_out_of_the_root_is_refused(root: Path, write: Any, rows: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    shutil.copy(root / rows["detection"][0]["image_path"].removeprefix("../"), secret)
    (root / "link.jpg").symlink_to(secret)
    write("table.csv", [{**rows["detection"][0], "image_path": "../link.jpg"}])
    with pytest.raises(PathEscapesRootError):
        read_root(root)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"image_path,task_id\n", "task_name"),
        (b"", "image_path"),
        (b"\xff\xfei\x00m\x00", "UTF-8"),
        (b"image_path,task_id,task_name,num_classes,mask\na,b,c,d,e,f\n", "more cells"),
        (b'image_path,task_id,task_name,num_classes,mask\n"open quote,b,c,d', "CSV"),
    ],
)
def test_a_table_that_is_none_is_named(root: Path, content: bytes, says: str) -> None:
    (root / "csv_files" / "odd.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"odd\.csv") as caught:
        read_root(root)
    assert says in str(caught.value)


def test_a_root_without_tables_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no CSV table"):
        read_root(root)
    with pytest.raises(MissingFileError):
        read_root(tmp_path / "nowhere")


def test_unknown_ids_become_the_users_own_tasks(dataset: Path) -> None:
    tasks = tasks_of(read_root(dataset), builtin_tasks())
    assert tasks["carotid_artery"] == builtin_tasks()["carotid_artery"]
    assert tasks["view_cls"].label_names == ("class 0", "class 1", "class 2")
    assert tasks["lumen_det"].label_names == ("object",)
    assert tasks["lumen_points"].label_names == ("point 1", "point 2")
    assert tasks["lumen_points"].horizontal_flip is False
    assert {tasks[name].group for name in ("view_cls", "lumen_det", "lumen_points")} == {"Own"}


def test_rows_that_contradict_a_known_task_are_refused(dataset: Path, write: Any, rows: Any) -> None:
    write("wrong.csv", [{**rows["detection"][0], "task_id": "carotid_artery"}])
    with pytest.raises(DatasetError, match=r"wrong\.csv, line 2"):
        tasks_of(read_root(dataset), builtin_tasks())
    write("wrong.csv", [{**rows["detection"][0], "task_id": "no good id"}])
    with pytest.raises(TaskError, match="no good id"):
        tasks_of(read_root(dataset), builtin_tasks())


def test_damaged_pictures_are_typed_errors(dataset: Path) -> None:
    row = read_root(dataset, ["carotid_artery"])[0]
    whole = row.image.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"not a picture", b""):
        row.image.write_bytes(damaged)
        with pytest.raises(DatasetError, match="damaged"):
            load_image(row.image)
    row.image.unlink()
    with pytest.raises(MissingFileError):
        load_image(row.image)


def test_masks_of_other_programs(dataset: Path) -> None:
    row = read_root(dataset, ["carotid_artery"])[0]
    assert row.mask is not None
    truth = load_mask(row)
    Image.fromarray(truth.labels * 255).save(row.mask)
    assert load_mask(row) == truth
    coloured = Image.fromarray(truth.labels)
    coloured.putpalette([0, 0, 0, 200, 30, 30])
    coloured.save(row.mask)
    assert load_mask(row) == truth
    Image.fromarray(truth.labels.astype(bool)).save(row.mask)
    assert load_mask(row) == truth
    Image.fromarray(np.stack([truth.labels] * 3, axis=-1)).save(row.mask)
    assert load_mask(row) == truth
    Image.fromarray(truth.labels.astype(np.uint16)).save(row.mask)
    assert load_mask(row) == truth
    for wrong in (truth.labels * 2, np.stack([truth.labels, truth.labels * 0, truth.labels], axis=-1)):
        Image.fromarray(wrong).save(row.mask)
        with pytest.raises(DatasetError, match="class indices"):
            load_mask(row)


def test_pictures_of_any_kind_become_rgb(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    kinds = {"grey": grey, "rgba": np.dstack([grey] * 4), "deep": grey.astype(np.uint16)}
    for name, array in kinds.items():
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        assert np.array_equal(load_image(tmp_path / f"{name}.png"), np.dstack([grey] * 3)), name
    Image.fromarray(grey.astype(np.uint16) * 1000).save(tmp_path / "deeper.png")
    assert load_image(tmp_path / "deeper.png").max() == 47 * 1000 // 256


def test_a_photograph_that_lies_down_is_turned_upright(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((10, 30, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").shape == (30, 10, 3)
    assert image_size(tmp_path / "turned.jpg") == (30, 10)
