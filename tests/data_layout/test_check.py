"""A check names every fault at once, and finds none in sound data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.fmuia import check_root
from m2dino.errors import DatasetError
from PIL import Image


def test_sound_data_has_no_problem(dataset: Path) -> None:
    assert check_root(dataset) == []


def test_every_fault_is_listed_with_its_place(dataset: Path, write: Any, rows: Any) -> None:
    place = dataset / "Segmentation" / "Two" / "CCAUS"
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(place / "masks" / "rec0_slice_0.png")
    Image.fromarray(np.full((749, 709), 255, np.uint8)).save(place / "masks" / "rec1_slice_1.png")
    (place / "masks" / "rec2_slice_2.png").write_bytes(b"x")
    (place / "images" / "rec0_slice_3.jpg").write_bytes(b"x")
    detection, regression = rows["detection"], rows["regression"]
    detection[1]["x_max"] = 4000
    detection[2] = {**detection[2], "x_max": 12}
    regression[1]["point_1_xy"] = "[NaN, NaN]"
    regression[4]["point_2_xy"] = "[-3, 10]"
    classification = rows["classification"]
    classification[1]["mask"] = 7
    write("anything.csv", [*detection, detection[5]])
    write("Reg-Two_3.lumen_points.csv", regression)
    write("Cls-Three_2.view_cls.csv", classification)
    write("z.csv", [{**classification[0], "num_classes": 4, "image_path": classification[5]["image_path"]}])
    (dataset / "csv_files" / "odd.csv").write_text("a,b\n1,2\n")
    found = [(p.file.name, p.line, p.text) for p in check_root(dataset)]
    expected = [
        ("Cls-Three_2.view_cls.csv", 3, "7"),
        ("Cls-Three_2.view_cls.csv", 5, "damaged"),
        ("Reg-Two_3.lumen_points.csv", 3, "NaN"),
        ("Reg-Two_3.lumen_points.csv", 5, "damaged"),
        ("Reg-Two_3.lumen_points.csv", 6, "outside"),
        ("Seg-Two_1.carotid_artery.csv", 2, "7 wide and 5 high"),
        ("Seg-Two_1.carotid_artery.csv", 3, "255"),
        ("Seg-Two_1.carotid_artery.csv", 4, "damaged"),
        ("Seg-Two_1.carotid_artery.csv", 5, "damaged"),
        ("anything.csv", 3, "leaves the image"),
        ("anything.csv", 4, "empty"),
        ("anything.csv", 5, "damaged"),
        ("anything.csv", 8, "already has a row"),
        ("odd.csv", 0, "image_path"),
        ("z.csv", 2, "num_classes 4"),
        ("z.csv", 2, "already has a row"),
    ]
    assert [(name, line) for name, line, _ in found] == [(name, line) for name, line, _ in expected]
    for (_, _, text), (_, _, says) in zip(found, expected, strict=True):
        assert says in text


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="csv_files"):
        check_root(tmp_path)
