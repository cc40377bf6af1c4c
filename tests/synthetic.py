"""A small made-up data set in the FM_UIA layout, and an untrained checkpoint that knows its tasks.

Each picture is one bright ellipse on speckle; its mask, its side, the box around it and the ends of its long axis are
the labels of four tasks, one of each type.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from m2dino.cine.loop import Frame
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.network.card import ModelCard, TaskReport
from m2dino.network.checkpoint import save_checkpoint
from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.tasks import Task, builtin_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value
from PIL import Image

from tests.tables import write_table

TASKS = {
    "segmentation": "carotid_artery",
    "classification": "breast_2cls",
    "detection": "thyroid_nodule_det",
    "regression": "FUGC",
}
HEIGHT, WIDTH = 60, 84
SIZE = 64
"""Side of the networks' input, px."""
SMALL = preset("tiny").with_options(
    # A stem from random weights only stands in the way.
    stem="",
    image_size=SIZE,
    num_experts=2,
    moe_from=9,
    decoder_width=16,
    detail_width=8,
    task_dim=8,
)
"""The tiny preset, made smaller where that costs nothing of what is tested."""


def picture(index: int) -> tuple[Frame, dict[str, Value]]:
    """Return a frame and its four labels, by type of task."""
    rng = np.random.default_rng(index)
    y, x = np.indices((HEIGHT, WIDTH))
    centre_y, centre_x = rng.uniform(20, 40), rng.uniform(26, 58)
    radius_y, radius_x = rng.uniform(8, 14), rng.uniform(14, 22)
    inside = ((y - centre_y) / radius_y) ** 2 + ((x - centre_x) / radius_x) ** 2 < 1
    grey = np.where(inside, 200, 40) * rng.uniform(0.7, 1.2, (HEIGHT, WIDTH))
    rows, columns = np.nonzero(inside)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2), {
        "segmentation": Mask(inside.astype(np.uint8)),
        "classification": ClassProbabilities.certain(int(centre_x > WIDTH / 2), 2),
        "detection": Box(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1),
        "regression": Keypoints(np.array([[centre_y, centre_x - radius_x], [centre_y, centre_x + radius_x]])),
    }


def make_root(root: Path, images: int = 8) -> Path:
    """Write a data set of `images` pictures, two of each subject, labelled for all four tasks."""
    (root / "csv_files").mkdir(parents=True)
    place = root / "Data"
    (place / "images").mkdir(parents=True)
    (place / "masks").mkdir()
    tables: dict[str, list[dict[str, object]]] = {kind: [] for kind in TASKS}
    for index in range(images):
        frame, labels = picture(index)
        Image.fromarray(frame).save(place / "images" / f"{index}.png")
        mask, box, points = labels["segmentation"], labels["detection"], labels["regression"]
        side = labels["classification"]
        assert isinstance(mask, Mask)
        assert isinstance(box, Box)
        assert isinstance(points, Keypoints)
        assert isinstance(side, ClassProbabilities)
        Image.fromarray(mask.labels).save(place / "masks" / f"{index}.png")
        cells: dict[str, dict[str, object]] = {
            "segmentation": {"mask_path": f"../Data/masks/{index}.png"},
            "classification": {"mask": side.index},
            "detection": dict(
                zip(("y_min", "x_min", "y_max", "x_max"), (int(edge) for edge in box.as_tuple()), strict=True)
            ),
            "regression": {f"point_{i + 1}_xy": f"[{x}, {y}]" for i, (y, x) in enumerate(points.points)},
        }
        for kind, task_id in TASKS.items():
            common = {
                "image_path": f"../Data/images/{index}.png",
                "task_id": task_id,
                "task_name": kind,
                "num_classes": builtin_tasks()[task_id].num_classes,
                "subject_id": f"subject {index // 2}",
            }
            tables[kind].append({**common, **cells[kind]})
    for kind, rows in tables.items():
        write_table(root / "csv_files" / f"{kind}.csv", rows)
    return root


def make_checkpoint(path: Path, task_ids: tuple[str, ...] = tuple(TASKS.values()), seed: int = 0) -> Path:
    """Write a tiny untrained checkpoint whose card claims to know some tasks."""
    torch.manual_seed(seed)
    tasks = {task_id: builtin_tasks()[task_id] for task_id in task_ids}
    net = M2Dino(SMALL, tasks.values())
    reports = {task_id: TaskReport(task, 10) for task_id, task in tasks.items()}
    save_checkpoint(net, ModelCard("untrained", net.architecture, reports, limits="made for a test"), path)
    return path


def make_store(
    path: Path, kind: str = "segmentation", loops: int = 1, frames: int = 6, task: Task | None = None
) -> Path:
    """Write a store of corrected frames of one task."""
    task = task or builtin_tasks()[TASKS[kind]]
    with Store.open(path, create=True) as store:
        for loop in range(loops):
            for index in range(frames):
                frame, labels = picture(100 * loop + index)
                store.save(Record(f"{loop:032x}", index, task.id, "edited", labels[kind]), frame, task)
    return path
