"""Masks as palette PNG files: pixel values are class indices, and every program shows them in the task's colours."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from m2dino.colours import colour
from m2dino.data.fmuia_view import file_name
from m2dino.export.annotated import AnnotatedLoop
from m2dino.tasks import Task
from m2dino.values import Mask


def write_pngs(loops: Sequence[AnnotatedLoop], folder: Path, stems: Mapping[str, str]) -> None:
    """Write `<task>/<loop>_<frame>.png` of original size, and `<task>/labels.json`, into a folder that is there."""
    listed: dict[str, dict[str, Any]] = {}
    for loop in loops:
        task = loop.task
        (folder / task.id).mkdir(exist_ok=True)
        about = listed.setdefault(task.id, {**about_task(task), "masks": []})
        for item in loop:
            assert isinstance(item.value, Mask)
            name = file_name(stems[loop.loop_id], item.frame)
            (folder / task.id / name).write_bytes(palette_png(item.value.labels, task))
            about["masks"].append({"file": name, "loop_id": loop.loop_id, "frame": item.frame, "fate": item.fate})
    for task_id, about in listed.items():
        (folder / task_id / "labels.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def palette_png(labels: NDArray[np.uint8], task: Task) -> bytes:
    """Return class indices, (H, W) uint8, as PNG with a palette: black background, then the colours of the window."""
    picture = Image.fromarray(labels).convert("L")
    picture.putpalette([channel for entry in _palette(task) for channel in ImageColor.getrgb(entry)])
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=2)
    return stream.getvalue()


def about_task(task: Task) -> dict[str, Any]:
    """Return what the pixel values of a task's masks mean."""
    labels = [
        {"index": index, "name": label.name, "meaning": label.meaning, "colour": shown}
        for index, (label, shown) in enumerate(zip(task.labels, _palette(task), strict=True))
    ]
    return {"task_id": task.id, "title": task.title, "labels": labels}


def _palette(task: Task) -> list[str]:
    return ["#000000", *(colour(index) for index in range(1, task.num_classes))]
