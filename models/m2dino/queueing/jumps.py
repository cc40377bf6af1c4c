"""How far what stands on a frame jumps against its neighbours, where tissue moves smoothly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value


@dataclass(frozen=True)
class Shape:
    """A value in a few numbers, quick to compare.

    Attributes
    ----------
    kind : str
        "mask", "box", "points" or "class".
    size : float
        Area of all classes or of the box, px; 0 where there is none.
    places : ndarray of float64, shape (N, 2)
        (y, x) of the centre, or of each point; NaN where there is none.
    shares : ndarray of float64, shape (K,)
        Class probabilities; empty for other kinds.
    """

    kind: str
    size: float
    places: NDArray[np.float64]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class Jump:
    """A jump: `score` is 0 for none and grows with it; `words` say what jumps."""

    score: float
    words: str


def shape_of(value: Value) -> Shape:
    """Return a value in a few numbers."""
    none = np.zeros(0)
    if isinstance(value, Mask):
        rows, columns = np.count_nonzero(value.labels, axis=1), np.count_nonzero(value.labels, axis=0)
        area = float(rows.sum())
        centre = np.full((1, 2), np.nan)
        if area:
            centre = np.array([[rows @ np.arange(len(rows)), columns @ np.arange(len(columns))]]) / area
        return Shape("mask", area, centre, none)
    if isinstance(value, Box):
        y0, x0, y1, x1 = value.as_tuple()
        return Shape("box", (y1 - y0) * (x1 - x0), np.array([[(y0 + y1) / 2, (x0 + x1) / 2]]), none)
    if isinstance(value, Keypoints):
        return Shape("points", 0.0, value.points, none)
    assert isinstance(value, ClassProbabilities)
    return Shape("class", 0.0, np.zeros((0, 2)), value.probabilities)


def jump_of(frame: int, shapes: Mapping[int, Shape], side: float) -> Jump | None:
    """Return how a frame jumps against the nearest frames before and after; None where it has no neighbours.

    Parameters
    ----------
    frame : int
    shapes : mapping of frame to Shape
        Of the frame and its direct neighbours at least.
    side : float
        Shorter side of the picture, px: places are compared relative to it.
    """
    here = shapes.get(frame)
    beside = [shapes[other] for other in (frame - 1, frame + 1) if other in shapes]
    if here is None or not beside:
        return None
    if here.kind == "class":
        mean = np.mean([one.shares for one in beside], axis=0)
        apart = float(np.abs(here.shares - mean).sum() / 2)
        differs = all(np.argmax(one.shares) != np.argmax(here.shares) for one in beside)
        words = "its class is another than its neighbours'" if differs else f"class moves by {apart:.0%}"
        return Jump(apart + differs, words)
    moved = np.abs(here.places - np.mean([one.places for one in beside], axis=0))
    lost = int(np.isnan(here.places[:, 0]).sum()) != round(
        np.mean([np.isnan(one.places[:, 0]).sum() for one in beside])
    )
    shift = float(np.nanmax(np.hypot(moved[:, 0], moved[:, 1]))) / side if np.isfinite(moved).any() else 0.0
    if here.kind == "points":
        words = "other points are visible than beside it" if lost else f"points move by {shift:.1%} of the picture"
        return Jump(5 * shift + lost, words)
    size = float(np.mean([one.size for one in beside]))
    grown = (here.size - size) / max(size, here.size, 1.0)
    word = "area" if here.kind == "mask" else "box"
    if abs(grown) >= 3 * shift:
        return Jump(abs(grown) + shift, f"{word} {'grows' if grown > 0 else 'shrinks'} by {abs(grown):.0%}")
    return Jump(abs(grown) + 5 * shift, f"{word} moves by {shift:.1%} of the picture")
