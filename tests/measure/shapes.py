"""Shapes whose figures are known, drawn in millimetres on pixels that need not be square, and a loop to measure on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from m2dino.cine.calibration import Calibration
from m2dino.cine.loop import CineLoop, Frame
from numpy.typing import NDArray

SHAPE = (150, 170)


class BlankLoop(CineLoop):
    """A black loop with the scale and the times that it is told."""

    reader, codec, identity = "array", "none", "0123abcd"

    def __init__(self, count: int = 4, pixel: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.path = Path("blank")
        self.count, (self.height, self.width) = count, SHAPE
        if pixel is not None:
            self.calibration = Calibration(*pixel, None, "test")

    def __len__(self) -> int:
        return self.count

    def _decode(self, index: int) -> Frame:
        return np.zeros((self.height, self.width, 3), np.uint8)


def grid(pixel: tuple[float, float]) -> NDArray[np.float64]:
    """Return (2, H, W): the centre of every pixel in mm, from the middle of the frame."""
    at = np.indices(SHAPE).astype(float)
    middle = (np.array(SHAPE) - 1) / 2
    return (at - middle[:, None, None]) * np.array(pixel)[:, None, None]


def ellipse(
    major: float, minor: float, turn: float, pixel: tuple[float, float], off: tuple[float, float] = (0, 0)
) -> NDArray[np.bool_]:
    """Return a filled ellipse; whole axes in mm, turned by `turn` radians from the vertical."""
    y, x = grid(pixel)
    y, x = y - off[0], x - off[1]
    along, across = y * math.cos(turn) + x * math.sin(turn), -y * math.sin(turn) + x * math.cos(turn)
    return (2 * along / major) ** 2 + (2 * across / minor) ** 2 <= 1


def band(length: float, width: float, turn: float, pixel: tuple[float, float]) -> NDArray[np.bool_]:
    """Return a filled rectangle about the middle, in mm."""
    y, x = grid(pixel)
    along, across = y * math.cos(turn) + x * math.sin(turn), -y * math.sin(turn) + x * math.cos(turn)
    return (abs(along) <= length / 2) & (abs(across) <= width / 2)
