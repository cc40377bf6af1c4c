"""What a value measures: areas of masks, sides of boxes, lengths between points; in pixels, and in mm where certain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.loop import CineLoop
from m2dino.scoring.lengths import lengths_of
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints, Mask

Point = tuple[float, float]
NO_FILE = "the loop's file was not given"


@dataclass(frozen=True)
class Measure:
    """One measured quantity of one frame.

    Attributes
    ----------
    kind : str
        `area`, `height`, `width` or `length`.
    name : str
        The label or the length that it is of.
    px : float
        In pixels, an area in pixels squared. NaN where an end is not visible.
    mm : float or None
        In mm, an area in mm²; None without a scale that holds at all of it.
    scale : str
        Where the scale comes from, or why there is none; for people.
    """

    kind: Literal["area", "height", "width", "length"]
    name: str
    px: float
    mm: float | None
    scale: str


def area_of(inside: NDArray[np.bool_], name: str, loop: CineLoop | None) -> Measure:
    """Return the area of the pixels of a mask, (H, W); it has mm² where one scale holds around all of them."""
    count = int(inside.sum())
    if not count:
        return Measure("area", name, 0.0, None, "")
    y_min, x_min, y_max, x_max = bounds_of(inside)
    (dy, dx), scale = _scale(loop, [(y_min, x_min), (y_max - 1, x_max - 1), (y_min, x_max - 1), (y_max - 1, x_min)])
    return Measure("area", name, float(count), None if dy is None or dx is None else count * dy * dx, scale)


def sides_of(box: Box, name: str, loop: CineLoop | None) -> tuple[Measure, Measure]:
    """Return the height and the width of a box."""
    # The edges of a box count pixels; as places, each lies half a pixel before the centre of the pixel of its number.
    ys, xs = (box.y_min - 0.5, box.y_max - 0.5), (box.x_min - 0.5, box.x_max - 0.5)
    (dy, dx), scale = _scale(loop, [(y, x) for y in ys for x in xs])
    height, width = box.y_max - box.y_min, box.x_max - box.x_min
    return (
        Measure("height", name, height, None if dy is None else height * dy, scale),
        Measure("width", name, width, None if dx is None else width * dx, scale),
    )


def lengths_between(points: Keypoints, task: Task, loop: CineLoop | None) -> list[tuple[Measure, tuple[Point, Point]]]:
    """Return the lengths that the names of a task's points tell of (see `lengths_of`), each with its two ends, (y, x).

    A length with an end that is not visible is left out.
    """
    found = []
    for length in lengths_of(task):
        (y0, x0), (y1, x1) = points.points[length.start].tolist(), points.points[length.end].tolist()
        if math.isnan(y0 + y1):
            continue
        (dy, dx), scale = _scale(loop, [(y0, x0), (y1, x1)])
        mm = None if dy is None or dx is None else math.hypot((y1 - y0) * dy, (x1 - x0) * dx)
        measure = Measure("length", length.name, math.hypot(y1 - y0, x1 - x0), mm, scale)
        found.append((measure, ((y0, x0), (y1, x1))))
    return found


def place_in_mm(point: Point, loop: CineLoop | None) -> tuple[Point | None, str]:
    """Return a point in mm from the centre of the frame's first pixel, and where the scale comes from."""
    (dy, dx), scale = _scale(loop, [point])
    return (None if dy is None or dx is None else (point[0] * dy, point[1] * dx)), scale


def measures_of(value: Mask | Box, task: Task, loop: CineLoop | None) -> list[Measure]:
    """Return the areas of a mask's classes that are there, or the sides of a box."""
    if isinstance(value, Box):
        return list(sides_of(value, task.label_names[0], loop))
    present = np.unique(value.labels)
    return [area_of(value.labels == index, task.label_names[index], loop) for index in present if index]


def bounds_of(inside: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return (y_min, x_min, y_max, x_max), end exclusive, of the pixels of a mask that is not empty."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _scale(loop: CineLoop | None, points: Sequence[Point]) -> tuple[tuple[float | None, float | None], str]:
    if loop is None:
        return (None, None), NO_FILE
    calibration, source = loop.calibration_at(points)
    return ((None, None) if calibration is None else (calibration.dy_mm, calibration.dx_mm)), source
