"""Angle of progression from the masks of pubic symphysis and fetal head."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from m2dino.measure.ellipse import moment_ellipse
from m2dino.measure.lines import angle_degrees
from m2dino.measure.outline import Region, outlines
from m2dino.measure.result import Measurement, absent
from m2dino.measure.scale import Scale


def progression_from_mask(symphysis: Region, head: Region, scale: Scale) -> Measurement:
    """Return the angle between the long axis of the symphysis and the tangent from its lower end to the head.

    The axis is that of the ellipse with the symphysis' moments; its lower end is the one nearer to the middle of the
    head. Of the two tangents the one counts that has the head between itself and the symphysis: the larger angle.

    Parameters
    ----------
    symphysis, head : ndarray of bool, shape (H, W)
    scale : Scale
    """
    name, inputs = "angle of progression", "masks of symphysis and head"
    axis, skull = moment_ellipse(symphysis, scale), moment_ellipse(head, scale)
    if axis is None or skull is None:
        missing = "symphysis" if axis is None else "head"
        return absent(name, f"there is no {missing} on this frame", inputs, "degrees")
    one, other = axis.ends
    middle = np.array(skull.centre)
    lower, upper = (one, other) if math.dist(one, middle) <= math.dist(other, middle) else (other, one)
    around = np.concatenate([scale.scaled(points) for points in outlines(head)])
    angles = [angle_degrees(lower, upper, point) for point in around]
    angle = max((one for one in angles if not math.isnan(one)), default=math.nan)
    if math.isnan(angle) or _holds(head, lower, scale):
        return absent(name, "the head reaches the lower end of the symphysis, so it has no tangent", inputs, "degrees")
    return Measurement(name, angle, "degrees", inputs=inputs, remark=scale.remark)


def _holds(region: Region, place: NDArray[np.float64], scale: Scale) -> bool:
    row, column = (round(float(at)) for at in place / np.array(scale.pixel))
    inside = 0 <= row < region.shape[0] and 0 <= column < region.shape[1]
    return inside and bool(region[row, column])
