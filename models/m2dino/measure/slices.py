"""How wide a region is along an axis: cut across it into slices of equal thickness, in the unit of a scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from m2dino.measure.outline import Region
from m2dino.measure.scale import Floats, Scale

_PARTS = 5


class Slices(NamedTuple):
    """A region in slices.

    Attributes
    ----------
    thickness : float
        Of one slice, along the axis.
    widths : ndarray, shape (count,)
        Mean width of each slice: its area divided by its thickness.
    """

    thickness: float
    widths: Floats

    @property
    def length(self) -> float:
        """Extent of the region along the axis."""
        return float(self.thickness * len(self.widths))


def sliced(region: Region, along: tuple[float, float], scale: Scale, count: int) -> Slices:
    """Cut a region that is not empty into `count` slices across a direction.

    Parameters
    ----------
    region : ndarray of bool, shape (H, W)
    along : tuple of float
        Unit vector (y, x) in the unit of the scale; slices are at right angles to it.
    scale : Scale
    count : int
    """
    # Every pixel counts as 5 x 5 small ones, so that a slice may begin in the middle of one.
    parts = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    inner = scale.scaled(np.stack(np.meshgrid(parts, parts, indexing="ij"), axis=-1).reshape(-1, 2)) @ np.array(along)
    at = (scale.scaled(np.argwhere(region)) @ np.array(along))[:, None] + inner
    low, high = float(at.min()), float(at.max())
    # The outermost small pixels reach half their own size beyond their middles.
    rim = 0.5 / _PARTS * (abs(along[0]) * scale.pixel[0] + abs(along[1]) * scale.pixel[1])
    low, high = low - rim, high + rim
    counts = np.histogram(at, bins=count, range=(low, high))[0]
    thickness = (high - low) / count
    return Slices(thickness, counts * (scale.pixel[0] * scale.pixel[1] / _PARTS**2) / thickness)
