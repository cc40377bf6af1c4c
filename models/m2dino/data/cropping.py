"""A part of the frame for the network, and its answers back in pixels of the whole frame, exactly.

A scanner's interface around the image (scales, names, a curve of the heart's current) is no part of what the network
learnt from, and takes pixels from what it is to see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.loop import CineLoop
from m2dino.errors import UsageError
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

Region = tuple[int, int, int, int]
"""(y_min, x_min, y_max, x_max), original-frame pixels, end exclusive."""
_SMALLEST_PX = 16


@dataclass(frozen=True)
class Crop:
    """A region of frames of (height, width) pixels.

    Raises
    ------
    UsageError
        The region leaves the frame, or is thinner than 16 px.
    """

    height: int
    width: int
    region: Region

    def __post_init__(self) -> None:
        y_min, x_min, y_max, x_max = self.region
        if not (0 <= y_min < y_max <= self.height and 0 <= x_min < x_max <= self.width):
            raise UsageError(
                f"The region {y_min},{x_min},{y_max},{x_max} does not lie inside the frame, which is {self.height} "
                f"pixels high and {self.width} wide: give Y_MIN,X_MIN,Y_MAX,X_MAX, the ends not included."
            )
        if min(self.size) < _SMALLEST_PX:
            raise UsageError(
                f"The region {y_min},{x_min},{y_max},{x_max} is too small: give {_SMALLEST_PX} pixels or more each way."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the region."""
        y_min, x_min, y_max, x_max = self.region
        return y_max - y_min, x_max - x_min

    def frame_in(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) frame -> its region, a view."""
        y_min, x_min, y_max, x_max = self.region
        return frame[y_min:y_max, x_min:x_max]

    def value_in(self, value: Value) -> Value:
        """Return a value in pixels of the frame as one in pixels of the region; what lies outside a mask's is lost."""
        y_min, x_min, y_max, x_max = self.region
        match value:
            case Mask(labels=labels):
                return Mask(labels[y_min:y_max, x_min:x_max])
            case Box():
                return Box(value.y_min - y_min, value.x_min - x_min, value.y_max - y_min, value.x_max - x_min)
            case Keypoints(points=points):
                return Keypoints(points - np.array([y_min, x_min]))
            case ClassProbabilities():
                return value

    def holds(self, value: Value) -> bool:
        """Whether a value in pixels of the frame lies in the region, all of it."""
        y_min, x_min, y_max, x_max = self.region
        match value:
            case Mask(labels=labels):
                return bool(np.count_nonzero(labels) == np.count_nonzero(labels[y_min:y_max, x_min:x_max]))
            case Box():
                return y_min <= value.y_min and x_min <= value.x_min and value.y_max <= y_max and value.x_max <= x_max
            case Keypoints(points=points):
                # Pixel (0, 0) covers the square from -0.5 to +0.5.
                seen = points[~np.isnan(points).any(axis=1)] + 0.5
                return bool((seen >= (y_min, x_min)).all() and (seen <= (y_max, x_max)).all())
            case ClassProbabilities():
                return True

    def value_out(self, value: Value) -> Value:
        """Return a value in pixels of the region as one in pixels of the frame; outside a mask all is background."""
        y_min, x_min, y_max, x_max = self.region
        match value:
            case Mask(labels=labels):
                whole = np.zeros((self.height, self.width), np.uint8)
                whole[y_min:y_max, x_min:x_max] = labels
                return Mask(whole)
            case Box():
                return Box(value.y_min + y_min, value.x_min + x_min, value.y_max + y_min, value.x_max + x_min)
            case Keypoints(points=points):
                return Keypoints(points + np.array([y_min, x_min]))
            case ClassProbabilities():
                return value


def image_region(loop: CineLoop) -> Region | None:
    """Return the part of a loop's frames to predict in: the image, where the file says for certain where that is.

    None where it does not, and where the image is the whole frame or too small to be one.
    """
    region = loop.tissue_region
    if region is None or region == (0, 0, loop.height, loop.width):
        return None
    y_min, x_min, y_max, x_max = region
    return region if min(y_max - y_min, x_max - x_min) >= _SMALLEST_PX else None
