"""What becomes of a value when the tissue under it moves: a mask is warped, a box stretched, points follow."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from m2dino.correct.motion import Motion, Window, sampled
from m2dino.correct.places import Grid
from m2dino.correct.stretching import stretched
from m2dino.values import Box, Keypoints, Mask, Value

_POINT_RADIUS = 3


class Carrier(ABC):
    """A value on its way through a loop; `value` is that of the frame reached."""

    value: Value

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    @abstractmethod
    def places(self) -> NDArray[np.bool_]:
        """Return where the value lies, (h, w), in the reduced frame."""

    @abstractmethod
    def advance(self, motion: Motion) -> None:
        """Move on by one frame."""

    def window(self) -> Window | None:
        """Return the box of its places, or None where nothing is left of it."""
        found = ndimage.find_objects(self.places().astype(np.uint8))
        return (found[0][0].start, found[0][1].start, found[0][0].stop, found[0][1].stop) if found else None


class MaskCarrier(Carrier):
    """A mask, always warped from the first frame's by the motions composed, so that its outline does not blur."""

    def __init__(self, mask: Mask, grid: Grid) -> None:
        super().__init__(grid)
        self.value: Mask = mask
        self._first = mask.labels
        self._classes = [int(label) for label in np.unique(mask.labels)]
        self._origin = np.indices(grid.small).astype(np.float32)

    def places(self) -> NDArray[np.bool_]:
        return self.grid.covered(self.value.labels > 0)

    def advance(self, motion: Motion) -> None:
        here = np.indices(self.grid.small).astype(np.float32)
        self._origin = sampled(self._origin, here + motion.backward)
        self.value = Mask(self._warped(self._origin - here))

    def _warped(self, displacement: NDArray[np.float32]) -> NDArray[np.uint8]:
        # Class by class, and only where the displaced mask can be: memory and time go with its size, not the frame's.
        labels = np.zeros(self.grid.full, np.uint8)
        came_from = np.indices(self.grid.small) + displacement
        source = self.grid.covered(self._first > 0, at_all=True)
        hit = sampled(ndimage.binary_dilation(source, iterations=2)[None].astype(np.float32), came_from)[0] > 0
        found = ndimage.find_objects(hit.astype(np.uint8))
        if not found:
            return labels
        window = self.grid.enlarged(found[0])
        at = np.indices((window[0].stop - window[0].start, window[1].stop - window[1].start), dtype=np.float32)
        at += np.array([window[0].start, window[1].start], dtype=np.float32)[:, None, None]
        at += sampled(displacement, self.grid.to_small(at)) * self.grid.scale[:, None, None]
        most = np.zeros(at.shape[1:], np.float32)
        for label in self._classes:
            share = ndimage.map_coordinates(
                (self._first == label).astype(np.float32), at, order=1, mode="constant", cval=float(label == 0)
            )
            better = share > most
            labels[window][better] = label
            most = np.maximum(most, share)
        return labels


class BoxCarrier(Carrier):
    """A box, shifted and stretched along both axes as most of its content is."""

    def __init__(self, box: Box, grid: Grid) -> None:
        super().__init__(grid)
        self.value: Box = box

    def places(self) -> NDArray[np.bool_]:
        """Return the ellipse in the box: its corners show what is around the structure."""
        at = self.grid.to_full(np.indices(self.grid.small).astype(np.float32))
        y_min, x_min, y_max, x_max = self.value.as_tuple()
        # An edge is at a pixel's side, half a pixel before its centre.
        middle = ((y_min + y_max) / 2 - 0.5, (x_min + x_max) / 2 - 0.5)
        radii = (max(0.5, (y_max - y_min) / 2), max(0.5, (x_max - x_min) / 2))
        inside = ((at[0] - middle[0]) / radii[0]) ** 2 + ((at[1] - middle[1]) / radii[1]) ** 2 <= 1
        if not inside.any():  # smaller than a pixel of the reduced frame
            away = np.hypot(at[0] - middle[0], at[1] - middle[1])
            inside[np.unravel_index(np.argmin(away), away.shape)] = True
        return np.asarray(inside)

    def advance(self, motion: Motion) -> None:
        places = self.places()
        at = self.grid.to_full(np.argwhere(places).T.astype(np.float32))
        moved = motion.forward[:, places] * self.grid.scale[:, None]
        y_min, x_min, y_max, x_max = self.value.as_tuple()
        y_min, y_max = stretched((y_min, y_max), at[0] + 0.5, moved[0], self.grid.full[0])
        x_min, x_max = stretched((x_min, x_max), at[1] + 0.5, moved[1], self.grid.full[1])
        self.value = Box(y_min, x_min, y_max, x_max)


class KeypointsCarrier(Carrier):
    """Points, each following the median motion of its surroundings as far as it can be trusted, else the bulk motion.

    A point that leaves the frame is no longer visible.
    """

    def __init__(self, keypoints: Keypoints, grid: Grid) -> None:
        super().__init__(grid)
        self.value: Keypoints = keypoints

    def places(self) -> NDArray[np.bool_]:
        around = np.zeros(self.grid.small, dtype=bool)
        for y, x in self._visible().T:
            around[_patch(y), _patch(x)] = True
        return around

    def advance(self, motion: Motion) -> None:
        points, trusted = self.value.points.copy(), motion.trusted()
        for row, (y, x) in enumerate(self.grid.to_small(points.T).T):
            if np.isfinite(y):
                patch = motion.forward[:, _patch(y), _patch(x)][:, trusted[_patch(y), _patch(x)]]
                moved = np.median(patch, axis=1) if patch.size else np.array(motion.shift)
                points[row] += moved * self.grid.scale
        outside = (points < -0.5) | (points > np.array(self.grid.full) - 0.5)
        points[outside.any(axis=1)] = np.nan
        self.value = Keypoints(points)

    def _visible(self) -> NDArray[np.floating]:
        points = self.value.points
        return self.grid.to_small(points[np.isfinite(points).all(axis=1)].T)


def _patch(at: float) -> slice:
    return slice(max(0, round(at) - _POINT_RADIUS), max(0, round(at) + _POINT_RADIUS + 1))
