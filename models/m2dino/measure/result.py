"""One measured figure, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Unit = Literal["px", "mm", "px²", "mm²", "px³", "ml", "degrees", "weeks", "%", ""]


@dataclass(frozen=True)
class Measurement:
    """A measured figure.

    Attributes
    ----------
    name : str
        What was measured, such as "head circumference".
    value : float or None
        None where it could not be measured; `reason` then says why.
    unit : str
        Of `value`; pixels wherever no calibration holds.
    frame : int or None
        Index of the frame; None for what belongs to the whole loop.
    inputs : str
        What it was made from, such as a class of the mask, the points, the formula, the frames.
    reason : str
        Why there is no value; empty where there is one.
    remark : str
        What to keep in mind of the value, such as that pixels were taken to be square.
    """

    name: str
    value: float | None
    unit: Unit
    frame: int | None = None
    inputs: str = ""
    reason: str = ""
    remark: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError("a measurement has either a value or a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.name} is {self.value}")

    def on(self, frame: int | None) -> Measurement:
        """Return the same for a frame."""
        return replace(self, frame=frame)


def absent(name: str, reason: str, inputs: str = "", unit: Unit = "") -> Measurement:
    """Return a measurement without a value."""
    return Measurement(name, None, unit, inputs=inputs, reason=reason)
