"""Where a careful hand draws: corners of a polygon round a structure, strokes along its edge. Pure functions.

A brush whose centre stays at least its radius inside the structure never spills, and at least its radius outside never
wipes off what belongs. So strokes follow the edge of the structure, drawn in or moved out by the radius, wherever the
brush touches a pixel that is wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.measure import approximate_polygon, find_contours

Bools = NDArray[np.bool_]
Points = NDArray[np.float64]
"""(N, 2) in (y, x), pixels."""
STRAIGHTEN_PX = 2.0
"""How far a stroke of straight segments may stray from the way it should go."""
MARGIN_PX = 1.0
"""How much farther than its radius the brush stays away from the edge, for its rim is a ring of whole pixels."""


def dice(one: Bools, other: Bools) -> float:
    """Return the Dice of two masks; 1 where both are empty."""
    both = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / both if both else 1.0


def polygons(structure: Bools, bar: float) -> list[Points]:
    """Return a polygon round each piece, with as few corners as the bar lets: at the bar or just above it."""
    pieces, count = ndimage.label(structure)
    found = []
    for number in range(1, count + 1):
        piece = pieces == number
        if piece.sum() < 0.02 * structure.sum():
            continue
        outline = max(find_contours(np.pad(piece, 1).astype(float), 0.5), key=len) - 1
        for tolerance in (16, 12, 9, 7, 5, 4, 3, 2, 1.5, 1, 0.5, 0):
            corners = approximate_polygon(outline, tolerance)[:-1]
            if len(corners) >= 3 and dice(polygon2mask(structure.shape, corners), piece) >= bar:
                break
        found.append(corners)
    return found


def strokes(structure: Bools, wrong: Bools, radius: float, inside: bool) -> list[Points]:
    """Return ways of the brush's centre, the one that mends most first.

    Parameters
    ----------
    structure : ndarray of bool, shape (H, W)
        What is to be there in the end.
    wrong : ndarray of bool, shape (H, W)
        Pixels to be painted (`inside`) or wiped off.
    radius : float
        Of the brush, pixels.
    inside : bool
    """
    free = structure if inside else ~structure
    far = ndimage.distance_transform_edt(np.pad(free, 1, constant_values=not inside))[1:-1, 1:-1]
    plain = ndimage.binary_opening(wrong, np.ones((3, 3)))
    wrong = plain if plain.any() else wrong  # slivers of a pixel or two are not worth a stroke
    near = ndimage.distance_transform_edt(~wrong) <= radius
    ways: list[tuple[int, Points]] = []
    for contour in find_contours(far, min(radius + MARGIN_PX, float(far.max()) - 0.5)):
        rows, columns = np.rint(contour).astype(int).T
        touches = near[rows, columns]
        for piece in _runs(contour, touches):
            ways.append((len(piece), approximate_polygon(piece, STRAIGHTEN_PX)))
    return [way for _, way in sorted(ways, key=lambda one: -one[0])]


def _runs(contour: Points, wanted: Bools) -> list[Points]:
    """Return the unbroken stretches of a contour that are wanted; of a closed one, also across its seam."""
    if not wanted.any():
        return []
    if wanted.all():
        return [contour]
    if np.array_equal(contour[0], contour[-1]):
        first = int(np.flatnonzero(~wanted)[0])
        contour, wanted = np.roll(contour[:-1], -first, axis=0), np.roll(wanted[:-1], -first)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], wanted.astype(int), [0]])))
    return [contour[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
