"""One affine map of the square, drawn at random: everything geometric of an augmentation, done in one resampling.

Coordinates are (y, x) in [0, 1] over the square, as in `letterbox`: 0 and 1 are its outer edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROTATION = math.radians(15)
ZOOM = 1.35
SHIFT = 0.1
STRETCH = 1.12
DEPTH_ZOOM = 0.3


@dataclass(frozen=True)
class Freedom:
    """What may be done to a picture without making one of its labels untrue.

    Attributes
    ----------
    mirror : bool
        Left and right may change places.
    rotation : float
        Largest angle, as a share of `ROTATION`.
    stretch : bool
        Height and width may be scaled differently.
    crop : bool
        Zoomed in, any part may be the one that is seen; else it is about the middle.
    """

    mirror: bool
    rotation: float
    stretch: bool
    crop: bool


@dataclass(frozen=True, eq=False)
class Warp:
    """`q = matrix @ p + shift`, from the square before to the square after.

    Attributes
    ----------
    matrix : ndarray of float64, shape (2, 2)
    shift : ndarray of float64, shape (2,)
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]

    @property
    def mirrors(self) -> bool:
        """Whether left and right change places."""
        return bool(np.linalg.det(self.matrix) < 0)

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points (…, 2) come to lie; NaN stays NaN."""
        return np.asarray(points @ self.matrix.T + self.shift)

    def picture(self, picture: Image.Image, size: int, resample: Image.Resampling) -> Image.Image:
        """Return a square picture of any size after the map, `size` px; 0 where it shows what lies outside."""
        # Pillow asks where each pixel comes from, in px, x before y, edges at whole numbers.
        back = np.linalg.inv(self.matrix)
        start = -back @ self.shift * picture.height
        back = back * (picture.height / size)
        data = (back[1, 1], back[1, 0], start[1], back[0, 1], back[0, 0], start[0])
        return picture.transform((size, size), Image.Transform.AFFINE, data, resample)


IDENTITY = Warp(np.eye(2), np.zeros(2))


def draw_warp(
    rng: np.random.Generator, strength: float, freedom: Freedom, keep: NDArray[np.float64] | None = None
) -> Warp:
    """Draw a map: mirroring, zoom about the middle or about the probe, stretch, rotation and a shift.

    Parameters
    ----------
    rng : numpy Generator
    strength : float
        Factor of all ranges; 0 gives the identity.
    freedom : Freedom
    keep : ndarray of float64, shape (N, 2), optional
        What must not leave the square: those of the points that lie in it. Zoom and shift give way to them.
    """
    mirror, near_probe = rng.random(2) < (0.5, DEPTH_ZOOM)
    zoom, stretch, angle = rng.uniform(-1, 1, 3) * strength
    shift = rng.uniform(-1, 1, 2) * strength
    if strength <= 0:
        return IDENTITY
    zoom = ZOOM**zoom
    ratio = STRETCH**stretch if freedom.stretch else 1.0
    angle = angle * ROTATION * freedom.rotation
    if freedom.rotation > 1:
        # Far turns are to be seen, but pictures as they come off the scanner more often.
        angle *= abs(angle) / (ROTATION * freedom.rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([zoom * ratio, zoom / ratio])
    if mirror and freedom.mirror:
        matrix = matrix @ np.diag([1.0, -1.0])
    # A scanner set to another depth zooms about the probe, which is at the top.
    anchor = np.array([0.0 if near_probe else 0.5, 0.5])
    offset = shift * (SHIFT + (max(0.0, zoom - 1) / 2 if freedom.crop else 0))
    if keep is not None and len(inside := keep[((keep >= 0) & (keep <= 1)).all(axis=1)]):
        spread = np.ptp(inside @ matrix.T, axis=0).max()
        if spread > 1:
            matrix = matrix / spread
        moved = (inside - anchor) @ matrix.T + anchor
        low, high = moved.min(axis=0), moved.max(axis=0)
        offset = np.maximum(np.minimum(offset, 1 - high), -low)
    return Warp(matrix, anchor - matrix @ anchor + offset)
