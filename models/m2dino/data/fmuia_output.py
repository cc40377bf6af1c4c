"""The prediction files that the challenge's scorer reads: masks as PNG, everything else as three JSON lists.

A mask lies where the row's `mask_path` says, from the output folder instead of the data root. The entries of the
lists name their image by the cell of the table as it stands, which is the key that the scorer looks up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np

from m2dino.data.image_files import image_size, mask_pixels
from m2dino.data.prediction_files import remove_predictions, write_prediction
from m2dino.data.rows import Row
from m2dino.data.value_files import png_bytes
from m2dino.errors import DatasetError, MissingFileError, UsageError
from m2dino.scoring.cases import ClassPrediction, Predicted
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value, type_of

_FILES = {
    "classification": "classification_predictions.json",
    "detection": "detection_predictions.json",
    "regression": "regression_predictions.json",
}


def mask_file(out: Path, row: Row) -> Path:
    """Return where the mask of a segmentation row lies in the output folder."""
    if row.mask_path is not None:
        written = PurePosixPath(row.mask_path.replace("\\", "/"))
    else:
        image = PurePosixPath(row.image_path.replace("\\", "/"))
        folders = ["masks" if part == "images" else part for part in image.parent.parts]
        written = PurePosixPath(*folders, f"{image.stem}.png")
    return out.joinpath(*(part for part in written.parts if part not in ("..", ".", "/")))


def check_apart(rows: Iterable[Row]) -> None:
    """Check that in a folder of predictions no row's would stand in the place of another's.

    The layout tells predictions apart by cells of the tables, which may be the same in train and in val.

    Raises
    ------
    UsageError
        Rows of two roots have the same mask, or the same image of the same task.
    """
    taken: dict[Path | tuple[str, str], Row] = {}
    for row in rows:
        is_mask = row.type == "segmentation"
        first = taken.setdefault(mask_file(Path(), row) if is_mask else (row.task_id, row.image_path), row)
        if first.root != row.root:
            what = f"the same mask, {mask_file(Path(), row)}" if is_mask else f"the same image, {row.image_path}"
            raise UsageError(
                f"{_lines(first, row)} have their predictions in one place, {what}: take {first.root} and {row.root} "
                "one at a time, each with a folder of its own."
            )


def check_masks_apart(rows: Iterable[Row]) -> None:
    """Check that no two masks to be predicted go to one file, which one of them would then not be in.

    Raises
    ------
    UsageError
        Rows that differ in their image or their task name the same mask, or, naming none, are given the same.
    """
    taken: dict[Path, Row] = {}
    for row in rows:
        if row.type == "segmentation":
            first = taken.setdefault(mask_file(Path(), row), row)
            if (first.image, first.task_id) != (row.image, row.task_id):
                raise UsageError(
                    f"{_lines(first, row)} would have their predictions in one file, {mask_file(Path(), row)}: give "
                    "each a mask_path of its own."
                )


def check_nothing_labelled(out: Path, rows: Iterable[Row]) -> None:
    """Check that no predicted mask goes where an image or a labelled mask lies.

    Raises
    ------
    UsageError
        One would, as where the data's own folder is named for the output.
    """
    rows = list(rows)
    labelled = _labelled(rows)
    for row in rows:
        if row.type == "segmentation" and mask_file(out, row).resolve() in labelled:
            raise UsageError(
                f"{out}: predictions would take the place of labelled masks, such as {mask_file(out, row)}: give them "
                "a folder of their own."
            )


def _labelled(rows: Iterable[Row]) -> set[Path | None]:
    """Return the files that the data set's own tables name."""
    return {path for row in rows for path in (row.image, row.mask)}


def _lines(one: Row, other: Row) -> str:
    return f"{one.csv}, line {one.line}, and {other.csv}, line {other.line},"


class OutputWriter:
    """Writes predictions as they come; a context manager, whose clean end writes the JSON lists.

    Of the tasks of this run the folder then holds this run's predictions alone: entries and masks of `rows` from an
    earlier one, which were not written this time, are removed. What it holds of other tasks stays, so that the
    predictions of several checkpoints add up to one folder.

    Parameters
    ----------
    out : Path
        The output folder; made where missing.
    rows : iterable of Row
        All rows of the tasks of this run, predicted or not.

    Attributes
    ----------
    others : set of str
        After the end, the tasks of the lists that stay from an earlier run.

    Raises
    ------
    StoreWriteError
        From `add` and the end: the folder cannot be written to.
    """

    def __init__(self, out: Path, rows: Iterable[Row] = ()) -> None:
        self._out, self._rows = Path(out), list(rows)
        self._lists: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _FILES}
        self._masks: set[Path] = set()
        self.others: set[str] = set()

    def __enter__(self) -> OutputWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        mine = {row.task_id for row in self._rows}
        old: list[Path] = []
        for name, new in self._lists.items():
            path = self._out / _FILES[name]
            own = mine | {entry["task_id"] for entry in new}
            stays = [entry for entry in _entries(path) if entry["task_id"] not in own]
            self.others |= {entry["task_id"] for entry in stays}
            if new or stays:
                write_prediction(path, json.dumps([*stays, *new], indent=1).encode())
            else:
                old.append(path)
        masks = {mask_file(self._out, row) for row in self._rows if row.type == "segmentation"} - self._masks
        # Whoever names the data's own folder for the output does not lose what is labelled.
        labelled = _labelled(self._rows)
        remove_predictions(path for path in [*old, *sorted(masks)] if path.resolve() not in labelled)

    def add(self, row: Row, value: Value, size: tuple[int, int] | None = None) -> None:
        """Take the prediction of a row.

        Parameters
        ----------
        row : Row
        value : Mask, Box, Keypoints or ClassProbabilities
            In pixels of the original image. A point of NaN is written as (0, 0): so the scorer reads a missing one.
        size : (height, width), optional
            Of the original image; read from its header where not given.
        """
        if type_of(value) != row.type:
            raise ValueError(f"a {type_of(value)} value for a {row.type} row")
        if isinstance(value, Mask):
            path = mask_file(self._out, row)
            write_prediction(path, png_bytes(value.labels))
            self._masks.add(path)
            return
        entry: dict[str, Any] = {"image_path": row.image_path, "task_id": row.task_id}
        if isinstance(value, ClassProbabilities):
            entry |= {"predicted_class": value.index, "predicted_probs": value.probabilities.tolist()}
        else:
            height, width = size or image_size(row.image)
            if isinstance(value, Box):
                pixels = [value.x_min, value.y_min, value.x_max, value.y_max]
                names = ("bbox_normalized", "bbox_pixels")
            else:
                pixels = [float(number) for y, x in np.nan_to_num(value.points) for number in (x, y)]
                names = ("predicted_points_normalized", "predicted_points_pixels")
            scale = [width, height] * (len(pixels) // 2)
            entry[names[0]] = [pixel / extent for pixel, extent in zip(pixels, scale, strict=True)]
            entry[names[1]] = [float(pixel) for pixel in pixels]
        self._lists[row.type].append(entry)


def _entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a list that an earlier run wrote; none where it is no such list."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [entry for entry in entries if isinstance(entry["task_id"], str)]
    except (OSError, ValueError, TypeError, KeyError):
        return []


class OutputReader:
    """Finds the prediction of a row in an output folder; masks are read when asked for.

    Parameters
    ----------
    out : Path

    Attributes
    ----------
    repeated : int
        Entries that name an image and task that an earlier one has named; the last one counts, as in the scorer.
    inside_out : int
        Boxes whose end lies before their start: they meet nothing, as in the scorer. Counted as they are asked for.

    Raises
    ------
    MissingFileError
        There is no such folder.
    DatasetError
        A list is not valid JSON, or an entry lacks what the layout asks for; the message names the file.
    """

    def __init__(self, out: Path) -> None:
        self._out = Path(out)
        if not self._out.is_dir():
            raise MissingFileError(f"{out}: no such folder of predictions.")
        self.repeated = self.inside_out = 0
        self._entries: dict[tuple[str, str], dict[str, Any]] = {}
        for name in _FILES.values():
            path = self._out / name
            if not path.is_file():
                continue
            try:
                for entry in json.loads(path.read_text(encoding="utf-8")):
                    key = (entry["task_id"], entry["image_path"])
                    self.repeated += key in self._entries
                    self._entries[key] = entry
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise DatasetError(f"{path}: not a list of predictions with image_path and task_id.") from error

    def value(self, row: Row) -> Predicted | None:
        """Return the prediction of a row, or None where there is none.

        Class probabilities need not sum to 1, and may be missing: what to make of that is the scorer's to say.

        Raises
        ------
        DatasetError
            It is there but damaged, or of another shape than the row's task asks for.
        """
        if row.type == "segmentation":
            path = mask_file(self._out, row)
            return Mask(mask_pixels(path)) if path.is_file() else None
        entry = self._entries.get((row.task_id, row.image_path))
        if entry is None:
            return None
        try:
            if row.type == "detection":
                return self._box(entry)
            return _value(row, entry)
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{self._out / _FILES[row.type]}: the entry of {row.image_path} for {row.task_id} needs {_needs(row)}."
            ) from error

    def _box(self, entry: dict[str, Any]) -> Box:
        x_min, y_min, x_max, y_max = (float(number) for number in entry["bbox_pixels"])
        if math.isfinite(x_max + y_max) and (x_max < x_min or y_max < y_min):
            self.inside_out += 1
            x_max, y_max = x_min, y_min
        return Box(y_min, x_min, y_max, x_max)

    def strangers(self, rows: Iterable[Row]) -> tuple[int, int]:
        """Return how many (entries of the lists, PNG files) belong to none of the rows."""
        rows = list(rows)
        entries = self._entries.keys() - {(row.task_id, row.image_path) for row in rows}
        masks = {mask_file(self._out, row) for row in rows if row.type == "segmentation"}
        return len(entries), sum(path not in masks for path in self._out.rglob("*.png"))


def _needs(row: Row) -> str:
    if row.type == "classification":
        return (
            f"a predicted_class from 0 to {row.num_classes - 1} and, where it has predicted_probs, {row.num_classes} "
            "numbers there, none negative"
        )
    if row.type == "detection":
        return "four finite bbox_pixels: x_min, y_min, x_max, y_max"
    return f"{2 * row.num_classes} finite predicted_points_pixels: x, y of each point"


def _value(row: Row, entry: dict[str, Any]) -> Predicted:
    if row.type == "classification":
        return _class(row, entry)
    points = np.array(entry["predicted_points_pixels"], dtype=np.float64).reshape(row.num_classes, 2)
    if not np.isfinite(points).all():
        raise ValueError("a point that is nowhere")
    return Keypoints(points[:, ::-1])


def _class(row: Row, entry: dict[str, Any]) -> ClassPrediction:
    chosen = entry["predicted_class"]
    if isinstance(chosen, bool) or chosen not in range(row.num_classes):
        raise ValueError("no such class")
    probabilities = entry.get("predicted_probs")
    if probabilities is None:
        return ClassPrediction(int(chosen), None)
    array = np.array(probabilities, dtype=np.float64)
    if array.shape != (row.num_classes,) or not np.isfinite(array).all() or (array < 0).any():
        raise ValueError("not a probability for every class")
    return ClassPrediction(int(chosen), array)
