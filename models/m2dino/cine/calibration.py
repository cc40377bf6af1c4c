"""Pixel to millimetre, only where the file makes it certain.

Wrong millimetres are worse than none: a reader that is not sure gives no `Calibration` but a reason in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_TOLERANCE = 0.01
_MOST_ASPECT = 10.0


@dataclass(frozen=True)
class Calibration:
    """The millimetres of a pixel inside one region of the frame.

    Attributes
    ----------
    dy_mm, dx_mm : float
        Height and width of a pixel in mm, both positive.
    region : tuple of int, or None
        (y_min, x_min, y_max, x_max), original-frame pixels, end exclusive, where it holds; None: the whole frame.
    source : str
        Where it comes from, for people, such as "ultrasound region 1" or "pixel spacing".
    """

    dy_mm: float
    dx_mm: float
    region: tuple[int, int, int, int] | None
    source: str

    def __post_init__(self) -> None:
        if not (0 < self.dy_mm < 100 and 0 < self.dx_mm < 100):
            raise ValueError(f"not a plausible pixel size: {self.dy_mm} x {self.dx_mm} mm")

    def covers(self, y: float, x: float) -> bool:
        """Whether the point (y, x), in original-frame pixels, lies where this calibration holds."""
        if self.region is None:
            return True
        y_min, x_min, y_max, x_max = self.region
        return y_min - 0.5 <= y <= y_max - 0.5 and x_min - 0.5 <= x <= x_max - 0.5

    def agrees_with(self, other: Calibration) -> bool:
        """Whether two scales are the same within a hundredth, on both axes."""
        return math.isclose(self.dy_mm, other.dy_mm, rel_tol=_TOLERANCE) and math.isclose(
            self.dx_mm, other.dx_mm, rel_tol=_TOLERANCE
        )


def aspect_of(width: float, height: float) -> float | None:
    """Return the width of a pixel over its height, or None where one of them is none or no file can mean it."""
    aspect = width / height if width > 0 and height > 0 else 0.0
    return aspect if 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT else None
