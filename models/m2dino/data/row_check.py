"""What is wrong with the pixels and labels of rows whose cells make sense."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from m2dino.cine.loop import Frame
from m2dino.data.image_files import load_image, mask_pixels
from m2dino.data.problems import Level, Problem
from m2dino.data.rows import Row
from m2dino.errors import DatasetError
from m2dino.values import Box, Keypoints

Fault = tuple[Level, str]


class RowChecker:
    """Checks rows one after the other, decoding each image once."""

    def __init__(self) -> None:
        self._sizes: dict[Path, tuple[int, int] | str] = {}
        self._first: dict[tuple[str, Path], Row] = {}

    def size(self, image: Path) -> tuple[int, int] | None:
        """Return (height, width) of an image that was found sound."""
        size = self._sizes.get(image)
        return size if isinstance(size, tuple) else None

    def problems(self, row: Row) -> list[Problem]:
        """Return what is wrong with a row.

        Errors: a damaged image or mask; a mask of another size than its image, or with a class that the task does not
        have; a second row of the task for the image that says otherwise. Warnings: what `nothing_to_learn` finds, a
        box or point that leaves the image, a mask of 0 and 255.
        """
        return [Problem(row.csv, row.line, text, level) for level, text in self._faults(row)]

    def nothing_to_learn(self, row: Row) -> str | None:
        """Return why training would get nothing from a sound row, after `problems` has seen it."""
        size = self.size(row.image)
        if isinstance(row.label, Box) and size is not None:
            box = row.label
            if box.y_max == box.y_min or box.x_max == box.x_min:
                return "the box is empty"
            if box.y_max <= 0 or box.x_max <= 0 or box.y_min >= size[0] or box.x_min >= size[1]:
                return "the box lies outside the image"
        if isinstance(row.label, Keypoints) and size is not None and not row.label.inside(size).any():
            return "no point is visible in the image"
        first = self._first.get((row.task_id, row.image))
        if first is not None and first is not row and _same_label(first, row):
            return f"it repeats {first.csv.name}, line {first.line}"
        return None

    def _faults(self, row: Row) -> Iterator[Fault]:
        first = self._first.setdefault((row.task_id, row.image), row)
        if first is not row and not _same_label(first, row):
            text = f"{row.image_path} already has a row of the task {row.task_id} with another label"
            yield "error", f"{text}: {first.csv.name}, line {first.line}. Keep one of them."
        if row.image not in self._sizes:
            self._sizes[row.image] = self._looked_at(row.image)
        size = self._sizes[row.image]
        if isinstance(size, str):
            yield "error", size
        if row.mask is not None:
            yield from _mask_faults(row, size if isinstance(size, tuple) else None)
        if isinstance(size, str):
            return
        skipped = self.nothing_to_learn(row)
        if skipped is not None:
            yield "warning", f"{skipped}; training leaves the row out."
            return
        height, width = size
        where = f"the image, which is {width} wide and {height} high"
        if isinstance(row.label, Box):
            box = row.label
            if box.y_min < 0 or box.x_min < 0 or box.y_max > height or box.x_max > width:
                yield "warning", f"the box leaves {where}; training cuts it there."
        elif isinstance(row.label, Keypoints):
            there = row.label.inside(size) | np.isnan(row.label.points[:, 0])
            for index in np.flatnonzero(~there):
                yield "warning", f"point_{index + 1}_xy lies outside {where}; training takes it as not visible."

    def _looked_at(self, image: Path) -> tuple[int, int] | str:
        try:
            frame = load_image(image)
        except DatasetError as error:
            return str(error)
        self.on_image(image, frame)
        return frame.shape[0], frame.shape[1]

    def on_image(self, image: Path, frame: Frame) -> None:
        """Take note of a decoded image; called once for each."""


def _same_label(one: Row, other: Row) -> bool:
    if one.mask is None or other.mask is None:
        return one.label == other.label
    try:
        return one.mask == other.mask or np.array_equal(mask_pixels(one.mask), mask_pixels(other.mask))
    except DatasetError:
        return True  # the damage is told elsewhere


def _mask_faults(row: Row, size: tuple[int, int] | None) -> Iterator[Fault]:
    assert row.mask is not None
    try:
        labels = mask_pixels(row.mask)
    except DatasetError as error:
        yield "error", str(error)
        return
    if size is not None and labels.shape != size:
        text = f"the mask {row.mask_path} is {labels.shape[1]} wide and {labels.shape[0]} high"
        yield "error", f"{text}, its image {size[1]} wide and {size[0]} high."
    highest = int(labels.max(initial=0))
    if highest == 255 and row.num_classes == 2 and np.isin(labels, (0, 255)).all():
        yield "warning", f"the mask {row.mask_path} holds 0 and 255, which are read as 0 and 1."
    elif highest >= row.num_classes:
        yield "error", f"the mask {row.mask_path} holds the value {highest}, but num_classes is {row.num_classes}."
