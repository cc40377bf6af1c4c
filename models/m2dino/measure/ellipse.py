"""Ellipses that stand for a region: fitted to its outline, or of equal moments; and their circumference.

A head is measured by the ellipse that fits its outline by least squares (Halir and Flusser, "Numerically stable direct
least squares fitting of ellipses", WSCG 1998, after Fitzgibbon et al. 1999), as clinicians lay one on the skull, and
as the reference of HC18 was made (van den Heuvel et al., "Automated measurement of fetal head circumference using 2D
ultrasound images", PLoS ONE 13:e0200412, 2018). Other regions are seldom ellipses; theirs has the same second moments,
which needs no outline and always exists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import EllipseModel, regionprops

from m2dino.measure.outline import Region, outlines
from m2dino.measure.scale import Scale

_LEAST_POINTS = 6


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in the unit of a scale.

    Attributes
    ----------
    centre : tuple of float
        (y, x).
    major, minor : float
        Whole axes, the longer first.
    direction : tuple of float
        Unit vector (y, x) of the longer axis.
    """

    centre: tuple[float, float]
    major: float
    minor: float
    direction: tuple[float, float]

    @property
    def circumference(self) -> float:
        """Circumference by Ramanujan's second formula (1914): within 1 in 10 000 000 where minor > major / 3."""
        return ramanujan_circumference(self.major, self.minor)

    @property
    def ends(self) -> NDArray[np.float64]:
        """(2, 2): both ends (y, x) of the longer axis."""
        half = np.array(self.direction) * self.major / 2
        return np.array([np.array(self.centre) - half, np.array(self.centre) + half])


def ramanujan_circumference(one: float, other: float) -> float:
    """Return the circumference of an ellipse from its two whole axes: pi (a + b) (1 + 3h / (10 + sqrt(4 - 3h)))."""
    a, b = one / 2, other / 2
    if a + b <= 0:
        return 0.0
    h = ((a - b) / (a + b)) ** 2
    return math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))


def fitted_ellipse(region: Region, scale: Scale) -> Ellipse | None:
    """Return the ellipse that fits the longest outline of a region best, or None where none does."""
    longest = max(outlines(region), key=len, default=None)
    if longest is None or len(longest) < _LEAST_POINTS:
        return None
    # The edge of the frame is no edge of the structure.
    inner = ((longest > 0) & (longest < np.array(region.shape) - 1)).all(axis=1)
    points = scale.scaled(longest[inner])
    if len(points) < _LEAST_POINTS:
        return None
    model = EllipseModel.from_estimate(points)
    if not model:
        return None
    (y, x), (first, second) = model.center, model.axis_lengths
    turn = model.theta + (math.pi / 2 if second > first else 0.0)
    if not (math.isfinite(first) and math.isfinite(second) and min(first, second) > 0):
        return None
    major, minor = 2 * max(first, second), 2 * min(first, second)
    return Ellipse((float(y), float(x)), float(major), float(minor), (math.cos(turn), math.sin(turn)))


def moment_ellipse(region: Region, scale: Scale) -> Ellipse | None:
    """Return the ellipse of a region's second moments, or None where the region is empty."""
    if not region.any():
        return None
    (found,) = regionprops(region.astype(np.uint8), spacing=scale.pixel)
    y, x = found.centroid
    tensor = np.asarray(found.inertia_tensor)
    values, vectors = np.linalg.eigh(tensor)
    # The longer axis is the one with the least moment of inertia about it.
    along = vectors[:, 0]
    major, minor = (4 * math.sqrt(max(0.0, float(value))) for value in values[::-1])
    return Ellipse((float(y), float(x)), major, minor, (float(along[0]), float(along[1])))
