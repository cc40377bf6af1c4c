"""COCO: `annotations/<task>.json`, one file a task, over the pictures in `images/`.

A class of a mask is one annotation a frame, with run lengths, so that holes and several pieces stay exact. Points are
one annotation of one category; a point that is not visible has visibility 0. A pixel's own square runs from its index
to the next, as everywhere in COCO: a box keeps its numbers. Points stay as they are too, for COCO's are pixel indices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from m2dino.data.fmuia_view import file_name
from m2dino.data.value_files import encode_frame
from m2dino.export.annotated import AnnotatedLoop
from m2dino.export.measures import bounds_of
from m2dino.export.rle import encode_rle
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints, Mask, Value

KINDS = ("segmentation", "detection", "regression")


def write_coco(loops: Sequence[AnnotatedLoop], folder: Path, stems: Mapping[str, str]) -> None:
    """Write the loops, of one or several tasks, into a folder that is there.

    Parameters
    ----------
    loops : sequence of AnnotatedLoop
    folder : Path
    stems : mapping of str to str
        What the names of a loop's pictures start with, by loop id.
    """
    images = folder / "images"
    images.mkdir()
    (folder / "annotations").mkdir()
    tasks = {loop.task.id: loop.task for loop in loops}
    for task in tasks.values():
        pictures: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for loop in loops:
            if loop.task.id != task.id:
                continue
            height, width = loop.size
            for item in loop:
                name = file_name(stems[loop.loop_id], item.frame)
                if not (images / name).exists():
                    (images / name).write_bytes(encode_frame(loop.picture(item.frame)))
                about = {"id": len(pictures) + 1, "file_name": name, "height": height, "width": width}
                pictures.append({**about, "loop_id": loop.loop_id, "frame": item.frame, "fate": item.fate})
                for entry in _entries(item.value):
                    identity = {"id": len(annotations) + 1, "image_id": about["id"], "iscrowd": 0}
                    annotations.append({**identity, **entry})
        content = {
            "info": {"description": f"{task.title}; made with napari-m2dino, for research use", "task_id": task.id},
            "licenses": [],
            "images": pictures,
            "annotations": annotations,
            "categories": categories(task),
        }
        (folder / "annotations" / f"{task.id}.json").write_text(json.dumps(content), encoding="utf-8")


def categories(task: Task) -> list[dict[str, Any]]:
    """Return the categories of a task: its classes by their index, or one category for all of its points."""
    if task.type == "regression":
        names = list(task.label_names)
        return [{"id": 1, "name": task.id, "supercategory": task.organ, "keypoints": names, "skeleton": []}]
    first = 1 if task.type == "segmentation" else 0
    return [
        {"id": index + 1 - first, "name": label.name, "supercategory": task.organ}
        for index, label in enumerate(task.labels)
        if index >= first
    ]


def _entries(value: Value) -> list[dict[str, Any]]:
    if isinstance(value, Mask):
        return [_of_class(value, int(index)) for index in np.unique(value.labels) if index]
    if isinstance(value, Box):
        height, width = value.y_max - value.y_min, value.x_max - value.x_min
        numbers = [float(edge) for edge in (value.x_min, value.y_min, width, height)]
        exact = [float(edge) for edge in value.as_tuple()]
        # `box` is ours: a width has lost the last digit of the edge that it was made from.
        return [{"category_id": 1, "bbox": numbers, "area": float(width * height), "segmentation": [], "box": exact}]
    assert isinstance(value, Keypoints)
    return [_of_points(value)]


def _of_class(mask: Mask, index: int) -> dict[str, Any]:
    inside = mask.labels == index
    y_min, x_min, y_max, x_max = bounds_of(inside)
    return {
        "category_id": index,
        "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
        "area": int(inside.sum()),
        "segmentation": {"size": list(mask.labels.shape), "counts": encode_rle(inside)},
    }


def _of_points(value: Keypoints) -> dict[str, Any]:
    visible = ~np.isnan(value.points[:, 0])
    flat: list[float] = []
    for (y, x), seen in zip(value.points.tolist(), visible, strict=True):
        flat += [x, y, 2] if seen else [0, 0, 0]
    box = [0.0, 0.0, 0.0, 0.0]
    if visible.any():
        (y_min, x_min), (y_max, x_max) = value.points[visible].min(axis=0), value.points[visible].max(axis=0)
        box = [float(number) for number in (x_min, y_min, x_max - x_min, y_max - y_min)]
    count = int(visible.sum())
    return {"category_id": 1, "keypoints": flat, "num_keypoints": count, "bbox": box, "area": box[2] * box[3]}
