"""The outline of a region of pixels, smoother than its staircase.

A region is blurred a little and cut at a half. The staircase itself is longer than what it shows by up to a tenth, so
its length is no perimeter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

Region = NDArray[np.bool_]
Floats = NDArray[np.float64]
OUTLINE_SIGMA_PX = 1.5


def softened(region: Region, sigma_px: float) -> Floats:
    """Return the region, (H, W), blurred: 0 outside to 1 inside, 0.5 on the outline.

    Each connected piece is blurred by itself, by no more than half its typical half-width, so that a thin one stays
    itself. Beyond the edge of the frame the region is taken to go on.
    """
    soft = np.zeros(region.shape)
    pieces, _ = ndimage.label(region, structure=np.ones((3, 3)))
    reach = int(np.ceil(4 * sigma_px)) + 1
    for number, found in enumerate(ndimage.find_objects(pieces), start=1):
        window = tuple(slice(max(0, part.start - reach), part.stop + reach) for part in found)
        piece = pieces[window] == number
        sigma = min(sigma_px, half_width(piece) / 2)
        soft[window] += ndimage.gaussian_filter(piece.astype(np.float64), sigma, mode="nearest")
    return np.asarray(np.minimum(soft, 1.0))


def half_width(piece: Region) -> float:
    """Return the typical half-width of a region in pixels: that of the strip of the same area and mean depth.

    In a strip of half-width w the depth below the outline is w / 2 on average; in a disc of radius r it is r / 3.
    """
    padded = np.pad(piece, 1)
    depth = ndimage.distance_transform_edt(padded)[padded] - 0.5
    return float(2 * depth.mean()) if depth.size else 0.0


def outlines(region: Region, sigma_px: float = OUTLINE_SIGMA_PX) -> list[Floats]:
    """Return the closed outlines of a region, each (N, 2), (y, x) in pixels, first point again at the end.

    Outlines of holes are among them. Where the region reaches the edge of the frame its outline runs along that edge.
    """
    padded = np.pad(region, 1, mode="edge")
    soft = softened(padded, sigma_px)[1:-1, 1:-1]
    # The edge of the frame lies half a pixel beyond the last centres.
    return [_within(points - 1, region.shape) for points in find_contours(np.pad(soft, 1), 0.5)]


def _within(points: Floats, shape: tuple[int, ...]) -> Floats:
    return np.clip(points, -0.5, np.array(shape) - 0.5)
