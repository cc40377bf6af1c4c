"""How an interval moves when places in it move: shifted and stretched, outliers heeded little.

The motion is a straight line over the place, by least squares with Huber's weights, renewed five times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 5


def stretched(
    edges: tuple[float, float], at: NDArray[np.floating], moved: NDArray[np.floating], size: int
) -> tuple[float, float]:
    """Return where both edges of an interval go, kept within 0 to `size`.

    Parameters
    ----------
    edges : tuple of float
        The lower and the upper one.
    at, moved : ndarray, shape (N,)
        Places along the axis of the edges, and how far each of them moved.
    size : int
        Extent of the frame along that axis.
    """
    if at.size == 0:
        return edges
    weights = np.ones(at.size)
    middle = float(at.mean())
    design = np.stack([np.ones(at.size), at - middle], axis=1)
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(design * root[:, None], moved * root, rcond=None)[0]
        rest = np.abs(moved - design @ solution)
        typical = max(1e-3, 1.4826 * float(np.median(rest)))
        weights = np.minimum(1.0, 1.345 * typical / np.maximum(rest, 1e-9))  # Huber's weights
    low, high = (min(float(size), max(0.0, edge + solution[0] + solution[1] * (edge - middle))) for edge in edges)
    return min(low, high), max(low, high)
