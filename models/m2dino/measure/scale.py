"""Pixels to millimetres, with the height and the width of a pixel kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.calibration import Calibration
from m2dino.cine.loop import CineLoop

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """The size of a pixel, (dy, dx), in mm, or (1, 1) in pixels where there is no calibration.

    Attributes
    ----------
    pixel : tuple of float
    millimetres : bool
        Whether `pixel` is in mm.
    reason : str
        Where the scale comes from, or why there is none.
    """

    pixel: tuple[float, float] = (1.0, 1.0)
    millimetres: bool = False
    reason: str = "the file gives no pixel size"

    @classmethod
    def of(cls, calibration: Calibration | None, reason: str = "the file gives no pixel size") -> Scale:
        """Return the scale of a calibration; that of pixels where it is None."""
        if calibration is None:
            return cls(reason=reason)
        return cls((calibration.dy_mm, calibration.dx_mm), True, calibration.source)

    @classmethod
    def at(cls, loop: CineLoop, points: Floats) -> Scale:
        """Return the scale of a loop that holds at all (y, x) points, (N, 2) in pixels."""
        visible = points[np.isfinite(points).all(axis=1)]
        return cls.of(*loop.calibration_at([(float(y), float(x)) for y, x in visible]))

    @property
    def length_unit(self) -> Literal["mm", "px"]:
        return "mm" if self.millimetres else "px"

    @property
    def area_unit(self) -> Literal["mm²", "px²"]:
        return "mm²" if self.millimetres else "px²"

    @property
    def remark(self) -> str:
        """What to keep in mind of a ratio or an angle measured without a calibration."""
        return "" if self.millimetres else "pixels taken to be square"

    def scaled(self, points: Floats | NDArray[np.integer]) -> Floats:
        """Return (N, 2) points (y, x) in the unit of the scale."""
        return np.asarray(points * np.array(self.pixel))
