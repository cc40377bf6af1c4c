"""Predictions of a loop as files: one JSON list, and a PNG of class indices for every mask."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from m2dino.cine.loop import CineLoop
from m2dino.data.durable import write_whole
from m2dino.data.value_files import png_bytes
from m2dino.errors import StoreWriteError
from m2dino.tasks import Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Prediction, Value


def write_prediction(path: Path, data: bytes) -> None:
    """Write a file of predictions, whole or not at all.

    Raises
    ------
    StoreWriteError
        The disk refuses.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise StoreWriteError(
            f"{path}: the prediction cannot be written ({os.strerror(error.errno or 0)}); "
            "free some space or choose another folder."
        ) from error


def remove_predictions(paths: Iterable[Path]) -> None:
    """Remove files of predictions that an earlier run left, where they are there.

    Raises
    ------
    StoreWriteError
        The disk refuses.
    """
    for path in paths:
        try:
            if path.is_file():
                path.unlink()
        except OSError as error:
            raise StoreWriteError(
                f"{path}: the prediction of an earlier run cannot be removed ({os.strerror(error.errno or 0)}); "
                "remove it or choose another folder."
            ) from error


def value_fields(value: Value, task: Task) -> dict[str, Any]:
    """Return a value other than a mask as plain data, in original-frame pixels, (y, x) order.

    A box is `box` [y_min, x_min, y_max, x_max]; points are `points` {name: [y, x] or null}; a class is `class`, its
    `index` and the `probabilities` of all.
    """
    if isinstance(value, Box):
        return {"box": list(value.as_tuple())}
    if isinstance(value, Keypoints):
        named = zip(task.label_names, value.points.tolist(), strict=True)
        return {"points": {name: None if point[0] != point[0] else point for name, point in named}}
    if isinstance(value, ClassProbabilities):
        return {
            "class": task.label_names[value.index],
            "index": value.index,
            "probabilities": value.probabilities.tolist(),
        }
    raise TypeError("masks are written as pictures")


class LoopPredictionWriter:
    """Writes the predictions of one loop as they come; a context manager, whose clean end writes predictions.json.

    The folder then holds this run's predictions alone: masks of an earlier one are removed.

    The folder is named after the loop's identity, never after its file: a file's name may hold a patient's.

    Parameters
    ----------
    out : Path
    loop : CineLoop
    task : Task
    region : tuple of int, optional
        (y_min, x_min, y_max, x_max), original-frame pixels, end exclusive: the part of the frame that was predicted in.
    """

    def __init__(self, out: Path, loop: CineLoop, task: Task, region: tuple[int, int, int, int] | None = None) -> None:
        self.folder = out / f"{loop.identity[:16]}_{task.id}"
        self._loop, self._task, self._region = loop, task, region
        self._entries: list[dict[str, Any]] = []
        self._model_id = ""

    def __enter__(self) -> LoopPredictionWriter:
        return self

    def add(self, prediction: Prediction) -> None:
        """Take a prediction; a mask is written at once.

        Raises
        ------
        StoreWriteError
            The folder cannot be written to.
        """
        self._model_id = prediction.model_id
        entry: dict[str, Any] = {"frame": prediction.frame, "confidence": round(prediction.confidence, 4)}
        if isinstance(prediction.value, Mask):
            name = f"mask_{prediction.frame:06d}.png"
            write_prediction(self.folder / name, png_bytes(prediction.value.labels))
            entry["mask"] = name
        else:
            entry |= value_fields(prediction.value, self._task)
        self._entries.append(entry)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        calibration = self._loop.calibration
        about = {
            "loop": self._loop.identity,
            "height": self._loop.height,
            "width": self._loop.width,
            "mm_per_px": None if calibration is None else [calibration.dy_mm, calibration.dx_mm],
            "region": None if self._region is None else list(self._region),
            "task": self._task.id,
            "labels": list(self._task.label_names),
            "model": self._model_id,
            "coordinates": "pixels of the original frame, (y, x); boxes y_min, x_min, y_max, x_max, end exclusive",
            "predictions": self._entries,
        }
        write_prediction(self.folder / "predictions.json", json.dumps(about, indent=1).encode())
        # Of other frames, and maybe of another model: whoever reads the pictures alone would take them for this run's.
        mine = {entry.get("mask") for entry in self._entries}
        remove_predictions(path for path in sorted(self.folder.glob("mask_*.png")) if path.name not in mine)
