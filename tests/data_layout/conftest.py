"""A small data set in the FM_UIA layout, of real frames and masks, with one task of each type."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path

import pytest

from tests.tables import write_table

FRAMES = 6
MASKS = Path(__file__).parents[1] / "data" / "carotid_masks"

Write = Callable[[str, Iterable[Mapping[str, object]]], Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root with images and masks, but without tables: see `write`."""
    root = tmp_path / "train"
    pictures = Path(str(files("napari_m2dino"))) / "samples" / "carotid"
    place = root / "Segmentation" / "Two" / "CCAUS"
    (place / "images").mkdir(parents=True)
    (place / "masks").mkdir()
    (root / "csv_files").mkdir()
    for index in range(FRAMES):
        shutil.copy(pictures / f"{index:03}.jpg", place / "images" / f"rec{index % 3}_slice_{index}.jpg")
        shutil.copy(MASKS / f"{index:03}.png", place / "masks" / f"rec{index % 3}_slice_{index}.png")
    return root


@pytest.fixture
def write(root: Path) -> Write:
    """Write a table into the root: write(file name, rows)."""

    def write_there(name: str, rows: Iterable[Mapping[str, object]], encoding: str = "utf-8") -> Path:
        path = root / "csv_files" / name
        write_table(path, rows, encoding)
        return path

    return write_there


def image(index: int) -> str:
    return f"../Segmentation/Two/CCAUS/images/rec{index % 3}_slice_{index}.jpg"


@pytest.fixture
def rows() -> dict[str, list[dict[str, object]]]:
    """Rows of one task of each type, by type."""
    common = {
        "segmentation": ("carotid_artery", "segmentation", 2),
        "classification": ("view_cls", "classification", 3),
        "detection": ("lumen_det", "detection", 1),
        "regression": ("lumen_points", "Regression", 2),
    }
    labels: dict[str, Callable[[int], dict[str, object]]] = {
        "segmentation": lambda i: {"mask_path": image(i).replace("images", "masks").replace(".jpg", ".png")},
        "classification": lambda i: {"mask": i % 3},
        "detection": lambda i: {"x_min": 10 + i, "y_min": 20, "x_max": 110, "y_max": 95.5},
        "regression": lambda i: {"point_1_xy": f"[{30.5 + i}, 40]", "point_2_xy": "" if i == 2 else "[50.25, 60]"},
    }
    return {
        kind: [
            {"image_path": image(i), "task_id": task_id, "task_name": name, "num_classes": count, **labels[kind](i)}
            for i in range(FRAMES)
        ]
        for kind, (task_id, name, count) in common.items()
    }


@pytest.fixture
def dataset(root: Path, write: Write, rows: dict[str, list[dict[str, object]]]) -> Path:
    """The root with a table for each type."""
    write("Seg-Two_1.carotid_artery.csv", rows["segmentation"])
    write("Cls-Three_2.view_cls.csv", rows["classification"])
    write("anything.csv", rows["detection"])
    write("Reg-Two_3.lumen_points.csv", rows["regression"])
    return root
