"""k-centre: which frames, taken in turn, cover best what a loop looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def k_centre(features: Mapping[int, NDArray[np.floating]], covered: Sequence[int] = ()) -> dict[int, float]:
    """Return frames in the order in which to take them, each with its distance to those taken before.

    Each next frame is the one farthest from all taken so far (Gonzalez 1985: never worse than twice the best cover).
    Without any covered, the first is the one nearest to the mean, with the distance of the frame farthest from it.

    Parameters
    ----------
    features : mapping of frame to ndarray, (D,)
    covered : sequence of int
        Frames that are taken already; they are not in the answer.
    """
    frames = sorted(features)
    if not frames:
        return {}
    table = np.stack([np.asarray(features[frame], dtype=np.float64) for frame in frames])
    start = [index for index, frame in enumerate(frames) if frame in set(covered)]
    order: dict[int, float] = {}
    if start:
        nearest = np.min([_distances(table, index) for index in start], axis=0)
    else:
        first = int(np.argmin(np.linalg.norm(table - table.mean(axis=0), axis=1)))
        nearest = _distances(table, first)
        order[frames[first]] = float(nearest.max())
        start = [first]
    taken = set(start)
    for _ in range(len(frames) - len(taken)):
        nearest[list(taken)] = -1.0
        index = int(np.argmax(nearest))
        order[frames[index]] = float(nearest[index])
        taken.add(index)
        nearest = np.minimum(nearest, _distances(table, index))
    return order


def _distances(table: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.linalg.norm(table - table[index], axis=1)
    return found
