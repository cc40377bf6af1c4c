"""The outlines of a mask, as other programs draw them: closed polygons between its pixels and the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours, label


def pieces_of(inside: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield the outer outline of each connected piece of a mask, and the pixels of the piece, holes left out.

    Parameters
    ----------
    inside : ndarray of bool, shape (H, W)

    Yields
    ------
    outline : ndarray of float64, shape (N, 2)
        (y, x), original-frame pixels, closed: the first point is also the last. It runs half-way between the centres of
        the outermost pixels of the piece and their neighbours.
    piece : ndarray of bool, shape (H, W)
        Pixels that touch by a side.
    """
    pieces, count = label(inside, connectivity=1, return_num=True)
    for number in range(1, count + 1):
        piece = pieces == number
        # A border all around, so that outlines are closed at the edge of the frame too.
        contours = find_contours(np.pad(piece, 1).astype(float), 0.5)
        outer = max(contours, key=lambda contour: float(np.ptp(contour, axis=0).prod()))
        yield outer - 1.0, piece
