"""Which classes of a mask lie within which, as a cavity lies within its wall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import convex_hull_image

Labels = NDArray[np.uint8]


def enclosed_classes(*masks: Labels) -> dict[int, list[int]]:
    """Return the classes but the background, the largest hull first, each with those that it encloses.

    A class encloses another when most of the other's pixels lie within its convex hull in every mask that has both: a
    closed ring and a horseshoe enclose what is in them.

    Parameters
    ----------
    *masks : ndarray of uint8, shape (H, W)
    """
    hulls = [{int(c): convex_hull_image(mask == c) for c in np.unique(mask) if c} for mask in masks]
    sizes = {c: max(int(of[c].sum()) for of in hulls if c in of) for c in sorted(set().union(*hulls))}
    order = sorted(sizes, key=lambda label: -sizes[label])
    return {
        outer: [inner for inner in order[place + 1 :] if _encloses(outer, inner, masks, hulls)]
        for place, outer in enumerate(order)
    }


def _encloses(outer: int, inner: int, masks: tuple[Labels, ...], hulls: list[dict[int, NDArray[np.bool_]]]) -> bool:
    shares = [
        hull[outer][mask == inner].mean()
        for mask, hull in zip(masks, hulls, strict=True)
        if {outer, inner} <= set(hull)
    ]
    return bool(shares) and min(shares) > 0.5
