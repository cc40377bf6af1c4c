"""Predictions to layer data and back: pure functions, each with its inverse.

Layer coordinates are (t, y, x) always, in original-frame pixels before the layer's scale; t is the frame's index. A
pixel (y, x) covers the square from y - 0.5 to y + 0.5, so a box whose end is exclusive spans, in layer coordinates,
from y_min - 0.5 to y_max - 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from m2dino.errors import UsageError
from m2dino.tasks import Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value
from numpy.typing import ArrayLike, NDArray

TOLERANCE_PX = 0.01
"""Two coordinates nearer than this are the same: napari keeps shapes in single precision."""


def mask_from_labels(frame_labels: ArrayLike, task: Task) -> Mask:
    """Return the mask of one frame of a Labels layer.

    Parameters
    ----------
    frame_labels : array-like of int, shape (H, W)
        What is painted on the frame.
    task : Task
        Says how many classes there are.

    Raises
    ------
    UsageError
        A painted label is not a class of the task.
    """
    array = np.asarray(frame_labels)
    worst = int(array.max(initial=0)) if int(array.min(initial=0)) >= 0 else int(array.min(initial=0))
    if not 0 <= worst < task.num_classes:
        raise UsageError(
            f"Label {worst} is painted on this frame, but {task.title} has only {labels_in_words(task)}: repaint it."
        )
    return Mask(array)


def labels_in_words(task: Task) -> str:
    """Return which labels can be painted for a task."""
    last = task.num_classes - 1
    return "the label 1" if last == 1 else f"the labels 1 to {last}"


def labels_from_mask(mask: Mask) -> NDArray[np.uint8]:
    """Return the (H, W) uint8 labels of one frame: the inverse of `mask_from_labels`."""
    return mask.labels


def rectangle_from_box(frame: int, box: Box) -> NDArray[np.float64]:
    """Return the corners, shape (4, 3) in (t, y, x), of a box on frame `frame`."""
    y0, x0, y1, x1 = (edge - 0.5 for edge in box.as_tuple())
    return np.array([[frame, y0, x0], [frame, y0, x1], [frame, y1, x1], [frame, y1, x0]], dtype=np.float64)


def box_from_rectangle(corners: ArrayLike, height: int, width: int) -> tuple[int, Box]:
    """Return frame and box of a shape; the inverse of `rectangle_from_box` for boxes inside the image.

    Parameters
    ----------
    corners : array-like of float, shape (N, 3)
        Vertices in (t, y, x). A turned rectangle, or any other shape, gives its bounding box.
    height, width : int
        Size of the image in pixels; the box is cut at its border.
    """
    vertices = np.asarray(corners, dtype=np.float64)
    low, high = vertices[:, 1:].min(axis=0) + 0.5, vertices[:, 1:].max(axis=0) + 0.5
    y_min, y_max = (float(np.clip(edge, 0, height)) for edge in (low[0], high[0]))
    x_min, x_max = (float(np.clip(edge, 0, width)) for edge in (low[1], high[1]))
    return round(float(vertices[0, 0])), Box(y_min, x_min, y_max, x_max)


def points_from_keypoints(values: Mapping[int, Keypoints], task: Task) -> tuple[NDArray[np.float64], list[str]]:
    """Return coordinates, shape (N, 3) in (t, y, x), and the N point names; points not visible are left out."""
    rows: list[tuple[float, float, float]] = []
    names: list[str] = []
    for frame in sorted(values):
        for name, (y, x) in zip(task.label_names, values[frame].points, strict=True):
            if not np.isnan(y):
                rows.append((frame, y, x))
                names.append(name)
    return np.array(rows, dtype=np.float64).reshape(-1, 3), names


def keypoints_from_points(coordinates: ArrayLike, names: Sequence[str], frame: int, task: Task) -> Keypoints:
    """Return the keypoints of one frame; the inverse of `points_from_keypoints`.

    Parameters
    ----------
    coordinates : array-like of float, shape (N, 3)
        All points of the layer, in (t, y, x).
    names : sequence of str, length N
        The name of each.
    frame : int
    task : Task

    Raises
    ------
    UsageError
        A point has no name, a name that the task does not know, or a name that another point of the frame has.
    """
    points = np.full((task.num_classes, 2), np.nan)
    rows = np.asarray(coordinates, dtype=np.float64).reshape(-1, 3)
    for row in on_frame(rows[:, 0], frame):
        name = str(names[row])
        if name not in task.label_names:
            raise UsageError(
                f"A point on this frame has no name of {task.title}: delete it, or name it in its features."
            )
        index = task.label_names.index(name)
        if not np.isnan(points[index, 0]):
            raise UsageError(f"Two points on this frame are named {name}: delete one of them.")
        points[index] = rows[row, 1:]
    return Keypoints(points)


def outside(value: Keypoints, height: int, width: int, task: Task) -> list[str]:
    """Return the names of the points that lie outside an image of height x width px."""
    with np.errstate(invalid="ignore"):
        inside = ((value.points >= -0.5) & (value.points <= (height - 0.5, width - 0.5))).all(axis=1)
    away = ~(inside | np.isnan(value.points[:, 0]))  # not visible is not outside
    return [name for name, out in zip(task.label_names, away, strict=True) if out]


def off_the_loop(times: ArrayLike, frames: int) -> NDArray[np.intp]:
    """Return the indices of those times that round to no frame of a loop of `frames`."""
    found = np.rint(np.asarray(times, dtype=np.float64))
    return np.flatnonzero(~((found >= 0) & (found < frames)))


def free_name(names_on_frame: Iterable[str], task: Task) -> str | None:
    """Return the first point of the task that is not yet placed on the frame; None if all are."""
    taken = set(names_on_frame)
    return next((name for name in task.label_names if name not in taken), None)


def on_frame(times: ArrayLike, frame: int) -> NDArray[np.intp]:
    """Return the indices of those times that round to `frame`."""
    return np.flatnonzero(np.rint(np.asarray(times, dtype=np.float64)) == frame)


def same_value(first: Value | None, second: Value | None) -> bool:
    """Whether two values are the same to a person: equal pixels or classes, coordinates within `TOLERANCE_PX`."""
    if first is None or second is None:
        return first is second
    if isinstance(first, Box) and isinstance(second, Box):
        return bool(np.allclose(first.as_tuple(), second.as_tuple(), rtol=0, atol=TOLERANCE_PX))
    if isinstance(first, Keypoints) and isinstance(second, Keypoints):
        return first.points.shape == second.points.shape and bool(
            np.allclose(first.points, second.points, rtol=0, atol=TOLERANCE_PX, equal_nan=True)
        )
    if isinstance(first, ClassProbabilities) and isinstance(second, ClassProbabilities):
        return first == second
    return first == second


def is_blank(value: Value | None) -> bool:
    """Whether a value holds nothing a person could have drawn: no label painted, no point placed, or no value."""
    if isinstance(value, Mask):
        return not value.labels.any()
    if isinstance(value, Keypoints):
        return bool(np.isnan(value.points).all())
    return value is None
