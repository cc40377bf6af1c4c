"""Black everywhere but in some boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m2dino.cine.loop import CineLoop, Frame
from m2dino.deid.options import Box
from m2dino.errors import UsageError

TEXT_IN_BOX = "all outside the box was made black, but text inside it was not looked for: look at the copy"
"""What a person is told of every copy with a box."""


def masked(frame: Frame, boxes: Sequence[Box]) -> Frame:
    """Return a copy of a frame, (H, W, 3), that is black outside the boxes (y_min, x_min, y_max, x_max)."""
    clean = np.zeros_like(frame)
    for y_min, x_min, y_max, x_max in boxes:
        clean[y_min:y_max, x_min:x_max] = frame[y_min:y_max, x_min:x_max]
    return clean


def check_box(loop: CineLoop, box: Box) -> None:
    """Refuse a box that is not inside the frames.

    Raises
    ------
    UsageError
    """
    y_min, x_min, y_max, x_max = box
    if not (0 <= y_min < y_max <= loop.height and 0 <= x_min < x_max <= loop.width):
        raise UsageError(
            f"The box {y_min},{x_min},{y_max},{x_max} does not lie in the frames of {loop.path}, "
            f"which have {loop.height} rows and {loop.width} columns."
        )
