"""Labels placed in the network's square, moved with the picture, and turned into tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from m2dino.data.letterbox import Letterbox
from m2dino.data.warp import Freedom, Warp
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints, Mask, Value

FAR = 3.0
"""How far a picture is turned whose points are named by their place, in units of the usual largest angle: 45°.

With 90° a run of the bundled checkpoint's command came to 21.3 px on fetal_head_biometry, with 45° two runs to 19.5 and
18.5: heads stand upright too seldom for learning that to pay within its time.
"""

_SIDES = re.compile(r"(?<![a-z])(left|right|l|r|lt|rt)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """A mask as a square picture of class indices, of any size."""

    picture: Image.Image

    def moved(self, warp: Warp, size: int) -> PlacedMask:
        return PlacedMask(warp.picture(self.picture, size, Image.Resampling.NEAREST))

    def corners(self) -> NDArray[np.float64]:
        """Return the corners of what is not background, (4, 2) as (y, x) in [0, 1]; (0, 2) where all is."""
        found = self.picture.getbbox()
        if found is None:
            return np.empty((0, 2))
        x_min, y_min, x_max, y_max = found
        return np.array([[y_min, x_min], [y_min, x_max], [y_max, x_min], [y_max, x_max]]) / self.picture.height

    def tensor(self) -> Tensor:
        return torch.from_numpy(np.array(self.picture)).long()


@dataclass(frozen=True, eq=False)
class PlacedBox:
    """A box by points on the border of what it encloses: its corners, where nothing better is known.

    The box around a turned box is too large. Where a mask of the same thing is at hand, the box of the turned thing can
    be told from the mask's outline.

    Attributes
    ----------
    outline : ndarray of float64, shape (N, 2)
        (y, x) in [0, 1] where in the square.
    exact : bool
        Whether the outline is that of the thing, not of its box.
    """

    outline: NDArray[np.float64]
    exact: bool = False

    def moved(self, warp: Warp, size: int) -> PlacedBox:
        return replace(self, outline=warp.points(self.outline))

    def tensor(self) -> Tensor:
        edges = np.concatenate([self.outline.min(axis=0), self.outline.max(axis=0)])
        return torch.tensor(edges.clip(0, 1), dtype=torch.float32)


@dataclass(frozen=True, eq=False)
class PlacedPoints:
    """Points, (K, 2) as (y, x) in [0, 1] where in the square; NaN where not visible."""

    points: NDArray[np.float64]

    def moved(self, warp: Warp, size: int) -> PlacedPoints:
        return PlacedPoints(warp.points(self.points))

    def renamed(self, order: Sequence[int]) -> PlacedPoints:
        """Return the points with the names that `order` (see `Task.mirrored_order`) gives them."""
        return PlacedPoints(self.points[list(order)])

    def named_by_place(self, task: Task) -> PlacedPoints:
        """Return the points with their names given anew where the task gives them by the place in the picture."""
        points, names = self.points.copy(), task.label_names
        for axis, pairs in ((1, task.left_to_right), (0, task.top_to_bottom)):
            for first, second in pairs:
                a, b = names.index(first), names.index(second)
                # Where one of the two is not visible, the comparison is false and both keep their names.
                if points[a, axis] > points[b, axis]:
                    points[[a, b]] = points[[b, a]]
        return PlacedPoints(points)

    def tensor(self) -> Tensor:
        # A point kept at the very border must not get lost by rounding.
        outside = (np.abs(self.points - 0.5) > 0.5 + 1e-6).any(axis=1, keepdims=True)
        return torch.tensor(np.where(outside, np.nan, self.points.clip(0, 1)), dtype=torch.float32)


@dataclass(frozen=True)
class PlacedClass:
    """A class, which no map changes."""

    index: int

    def moved(self, warp: Warp, size: int) -> PlacedClass:
        return self

    def tensor(self) -> Tensor:
        return torch.tensor(self.index, dtype=torch.int64)


Placed = PlacedMask | PlacedBox | PlacedPoints | PlacedClass


def place(value: Value, box: Letterbox) -> Placed:
    """Place a value, in original-frame pixels, in the square of `box`.

    What lies beside the frame is not learnt, though the square may have padding there: a point outside is not visible,
    and a box is cut.
    """
    if isinstance(value, Mask):
        return PlacedMask(Image.fromarray(box.mask_in(value.labels).numpy()))
    if isinstance(value, Box):
        y_min, x_min, y_max, x_max = value.as_tuple()
        corners = np.array([[y_min, x_min], [y_min, x_max], [y_max, x_min], [y_max, x_max]])
        return PlacedBox(box.edges_in(corners.clip(0, (box.height, box.width))))
    if isinstance(value, Keypoints):
        inside = value.inside((box.height, box.width))
        return PlacedPoints(box.points_in(np.where(inside[:, None], value.points, np.nan)))
    return PlacedClass(value.index)


def place_together(values: Sequence[Value], box: Letterbox) -> list[Placed]:
    """Place the values of one picture; a box that a mask of the picture fills exactly learns the mask's outline."""
    placed = [place(value, box) for value in values]
    masks = [value for value in values if isinstance(value, Mask)]
    for index, value in enumerate(values):
        outline = next((found for mask in masks if (found := _outline(mask, value)) is not None), None)
        if outline is not None:
            placed[index] = PlacedBox(box.edges_in(outline), exact=True)
    return placed


def _outline(mask: Mask, box: Value) -> NDArray[np.float64] | None:
    """Return corners of pixels, (N, 2) as (y, x), whose hull is the mask's, if the box is the mask's own."""
    if not isinstance(box, Box):
        return None
    inside = mask.labels > 0
    rows = np.flatnonzero(inside.any(axis=1))
    if not len(rows):
        return None
    left = inside[rows].argmax(axis=1)
    right = inside.shape[1] - inside[rows, ::-1].argmax(axis=1)
    own = (rows[0], left.min(), rows[-1] + 1, right.max())
    if not np.allclose(own, box.as_tuple(), atol=1):
        return None
    y = np.concatenate([rows, rows, rows + 1, rows + 1])
    return np.stack([y, np.concatenate([left, right, left, right])], axis=1).astype(np.float64)


def mirror_allowed(task: Task) -> bool:
    """Whether a mirrored picture keeps the task's label.

    The task may say no. A label whose name speaks of left or right ("left atrium", "OFD right end") says no by itself:
    which of two such labels a mirrored picture deserves depends on whether sides of the body or of the picture are
    meant, and the name does not tell. `mirror_pairs` and `left_to_right` tell.
    """
    paired = {name for pair in (*task.mirror_pairs, *task.left_to_right) for name in pair}
    return task.horizontal_flip and not any(_SIDES.search(name) for name in task.label_names if name not in paired)


def freedom_of(tasks: Sequence[Task], placed: Sequence[Placed]) -> Freedom:
    """Return what all labels of a picture allow: the strictest counts.

    A box is not turned unless the outline of its content is known. Points are not stretched, because the ends of the
    longest diameter of a stretched ellipse are others, and turned less, because their names often follow the picture
    ("upper end"); where the task says that all its points do, they are turned far and named anew. What makes a class
    may lie anywhere, so the picture of a class is not cropped on one side.
    """
    boxes = any(isinstance(target, PlacedBox) and not target.exact for target in placed)
    points = [task for task in tasks if task.type == "regression"]
    return Freedom(
        mirror=all(mirror_allowed(task) for task in tasks),
        rotation=0.0 if boxes else 1.0 if not points else FAR if all(task.may_turn for task in points) else 0.6,
        stretch=not points,
        crop=all(task.type != "classification" for task in tasks),
    )


def to_keep(placed: Sequence[Placed]) -> NDArray[np.float64] | None:
    """Return the points (N, 2) that an augmentation must not push out of the square.

    They are boxes and visible points; of a mask the middle, and all of it beside a class, since what is outlined is
    probably what makes the class.
    """
    known = [target.outline for target in placed if isinstance(target, PlacedBox)]
    known += [target.points[~np.isnan(target.points[:, 0])] for target in placed if isinstance(target, PlacedPoints)]
    corners = [target.corners() for target in placed if isinstance(target, PlacedMask)]
    whole = any(isinstance(target, PlacedClass) for target in placed)
    known += [each if whole else each.mean(axis=0, keepdims=True) for each in corners if len(each)]
    return np.concatenate(known) if known else None
