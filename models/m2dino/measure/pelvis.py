"""Angle of progression from the masks of pubic symphysis and fetal head."""

from __future__ import annotations

import math

import numpy as np

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
    angle = max(angle_degrees(lower, upper, point) for point in around)
    return Measurement(name, angle, "degrees", inputs=inputs, remark=scale.remark)
