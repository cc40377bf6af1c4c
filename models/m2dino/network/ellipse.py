"""A mask that its readers draw as an ellipse, read as the ellipse that fits its outline.

The fetal head is one by convention: its circumference is measured on an ellipse laid on the skull, and the masks of
HC18 are such ellipses (van den Heuvel et al. 2018, doi 10.1371/journal.pone.0200412). A fit to the whole outline is not
led astray by a shadow, or by the coarse grid that the network draws on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import EllipseModel, find_contours

from m2dino.data.letterbox import Letterbox
from m2dino.scoring.masks import pixel_dice

AGREEMENT = 0.85
"""Least Dice of ellipse and mask: what is no ellipse, or is two, stays as the network drew it. Our choice."""
_FEWEST = 8  # points of an outline; five determine an ellipse


def as_ellipse(labels: NDArray[np.uint8], difference: NDArray[np.float32], box: Letterbox) -> NDArray[np.uint8]:
    """Return the ellipse that fits the largest outline, or the mask as it is where none fits.

    Parameters
    ----------
    labels : ndarray of uint8, shape (H, W)
        The mask in original pixels; 0 and 1.
    difference : ndarray of float32, shape (h, w)
        Logit of the foreground less that of the background, over the network's square.
    box : Letterbox

    Returns
    -------
    ndarray of uint8, shape (H, W)
    """
    found = _fitted(labels, difference, box)
    return labels if found is None else found[1]


def axis_ends(
    points: NDArray[np.float64], labels: NDArray[np.uint8], difference: NDArray[np.float32], box: Letterbox
) -> NDArray[np.float64] | None:
    """Return the ends of the axes of the ellipse that fits the largest outline, named as the points nearest to them.

    Parameters
    ----------
    points : ndarray of float64, shape (4, 2)
        Both ends of one axis, then of the other, (y, x) in original pixels, as something else has found them.
    labels, difference, box
        As in `as_ellipse`.

    Returns
    -------
    ndarray of float64, shape (4, 2), or None
        In the order of `points`: of the eight ways to name the ends, the one that is nearest to them in all. None where
        no ellipse fits.
    """
    found = _fitted(labels, difference, box)
    if found is None:
        return None
    fit, _ = found
    along = np.array([np.sin(fit.theta), np.cos(fit.theta)])
    across = np.array([np.cos(fit.theta), -np.sin(fit.theta)])
    axes = [half * way for half, way in zip(fit.axis_lengths, (along, across), strict=True)]
    named: list[NDArray[np.float64]] = [
        np.array([fit.center[1], fit.center[0]]) + np.stack([-one * sign, one * sign, -other * turn, other * turn])
        for one, other in (axes, axes[::-1])
        for sign in (1, -1)
        for turn in (1, -1)
    ]
    return min(named, key=lambda ends: float(np.linalg.norm(ends - points, axis=1).sum()))


def _fitted(
    labels: NDArray[np.uint8], difference: NDArray[np.float32], box: Letterbox
) -> tuple[EllipseModel, NDArray[np.uint8]] | None:
    """Return the ellipse that fits the largest outline, and its mask; None where none fits."""
    outline = _largest_outline(difference)
    if outline is None:
        return None
    points = box.points_out((outline + 0.5) / difference.shape)
    fit = EllipseModel.from_estimate(points[:, ::-1])  # it takes (x, y)
    if not fit:
        return None
    ellipse = _drawn((fit.center[1], fit.center[0]), fit.axis_lengths, fit.theta, labels.shape)
    return (fit, ellipse) if pixel_dice(ellipse > 0, labels > 0) >= AGREEMENT else None


def _largest_outline(difference: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Return the zero contour that encloses most, (N, 2) as (row, column) of the grid."""
    found = [line for line in find_contours(difference, 0.0) if len(line) >= _FEWEST]
    return max(found, key=_enclosed, default=None)


def _enclosed(line: NDArray[np.float64]) -> float:
    """Area within a closed line by the shoelace formula; an open one is closed by its chord."""
    y, x = line.T
    return abs(float(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1)))) / 2


def _drawn(
    centre: tuple[float, float], axes: tuple[float, float], theta: float, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Fill an ellipse of half axes `axes`, the first at the angle `theta` from x towards y."""
    y = np.arange(shape[0])[:, None] - centre[0]
    x = np.arange(shape[1])[None] - centre[1]
    along, across = x * np.cos(theta) + y * np.sin(theta), y * np.cos(theta) - x * np.sin(theta)
    inside = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1
    return np.asarray(inside, dtype=np.uint8)
