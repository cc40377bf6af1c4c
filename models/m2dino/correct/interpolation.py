"""Fill in the frames between two that a person has drawn.

Masks are interpolated by shape: the signed distance to the outline is averaged (Raya and Udupa, "Shape-based
interpolation of multidimensional objects", IEEE Trans. Med. Imaging 9:32, 1990) after the two shapes are brought to
one centre of gravity (Herman, Zheng and Bucholtz, "Shape-based interpolation", IEEE Comput. Graph. Appl. 12:69, 1992).
Boxes and points move in straight lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from m2dino.correct.nesting import enclosed_classes
from m2dino.errors import UsageError
from m2dino.values import Box, Keypoints, Mask, Value

Region = NDArray[np.bool_]


def interpolate(first_frame: int, first: Value, last_frame: int, last: Value) -> Iterator[tuple[int, Value]]:
    """Yield (frame, value) of the frames strictly between two, in order; see `between`."""
    for frame in range(first_frame + 1, last_frame):
        yield frame, between(first, last, (frame - first_frame) / (last_frame - first_frame))


def interpolate_all(keyframes: dict[int, Value]) -> Iterator[tuple[int, Value]]:
    """Yield (frame, value) of all frames strictly between keyframes that follow one another."""
    for (start, first), (end, last) in pairwise(sorted(keyframes.items())):
        yield from interpolate(start, first, end, last)


def between(first: Value, last: Value, share: float) -> Value:
    """Return the value that lies `share`, 0 to 1, of the way from one to another; at 0 and 1 the very same values.

    A class that only one mask has shrinks to nothing on the way to the other. A point that is hidden in either is
    hidden.

    Raises
    ------
    UsageError
        The two are of different kinds, sizes or numbers of points, or are classes of a frame.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is 0 to 1, not {share}")
    match first, last:
        case Mask(), Mask() if first.labels.shape == last.labels.shape:
            return first if share == 0 else last if share == 1 else _masks(first, last, share)
        case Box(), Box():
            pairs = zip(first.as_tuple(), last.as_tuple(), strict=True)
            return first if share == 0 else last if share == 1 else Box(*(a + share * (b - a) for a, b in pairs))
        case Keypoints(), Keypoints() if first.points.shape == last.points.shape:
            mixed = Keypoints(first.points + share * (last.points - first.points))
            return first if share == 0 else last if share == 1 else mixed
    raise UsageError("Two frames can be joined only where both have a mask, both a box, or both the same points.")


def _masks(first: Mask, last: Mask, share: float) -> Mask:
    labels = np.zeros(first.labels.shape, np.uint8)
    drawn = ndimage.find_objects(((first.labels > 0) | (last.labels > 0)).astype(np.uint8))
    if not drawn:
        return Mask(labels)
    # Nothing in between reaches beyond what was drawn; what it does not touch costs no time.
    window = tuple(slice(max(0, part.start - 2), part.stop + 2) for part in drawn[0])
    start, end = first.labels[window], last.labels[window]
    # From the outside in: a wall is what is left of wall and cavity together once the cavity is drawn over it.
    # Averaging the distances of two thin rings that differ in size would leave nothing.
    for label, inner in enclosed_classes(start, end).items():
        members = [label, *inner]
        labels[window][_shape(np.isin(start, members), np.isin(end, members), share)] = label
    return Mask(labels)


def _shape(first: Region, last: Region, share: float) -> Region:
    if not first.any():
        return _shrunk(last, 1 - share)
    if not last.any():
        return _shrunk(first, share)
    centres = [np.array(ndimage.center_of_mass(region)) for region in (first, last)]
    middle = centres[0] + share * (centres[1] - centres[0])
    moved = [
        ndimage.shift(signed_distance(region), middle - centre, order=1, mode="nearest")
        for region, centre in zip((first, last), centres, strict=True)
    ]
    return np.asarray((1 - share) * moved[0] + share * moved[1] > 0)


def _shrunk(region: Region, share: float) -> Region:
    distance = signed_distance(region)
    return np.asarray(distance - share * distance.max() > 0) if region.any() else region


def signed_distance(region: Region) -> NDArray[np.float64]:
    """Return the distance to the outline in pixels, (H, W): positive inside, negative outside, never 0."""
    inside = ndimage.distance_transform_edt(region)
    if region.all():
        return np.asarray(inside + np.hypot(*region.shape))
    outside = (
        ndimage.distance_transform_edt(~region) if region.any() else np.full(region.shape, np.hypot(*region.shape))
    )
    return np.asarray(np.where(region, inside - 0.5, 0.5 - outside))
