"""Lengths between points and angles between lines, in millimetres where a scale holds."""

from __future__ import annotations

import math

import numpy as np

from m2dino.measure.result import Measurement, absent
from m2dino.measure.scale import Floats, Scale

HIDDEN = "a point that it needs is not visible"


def length(name: str, points: Floats, start: int, end: int, scale: Scale) -> Measurement:
    """Return the length between two of the points, (K, 2), (y, x) in pixels; NaN means "not visible"."""
    inputs = f"points {start + 1} and {end + 1}"
    ends = points[[start, end]]
    if not np.isfinite(ends).all():
        return absent(name, HIDDEN, inputs, scale.length_unit)
    first, last = scale.scaled(ends)
    return Measurement(name, float(np.hypot(*(last - first))), scale.length_unit, inputs=inputs)


def angle_degrees(corner: Floats, first: Floats, second: Floats) -> float:
    """Return the angle at `corner` between the rays to two places, 0 to 180; NaN where a ray has no length.

    All are (y, x) in one unit: pixels that are not square have to be scaled before.
    """
    a, b = first - corner, second - corner
    if not (np.any(a) and np.any(b)):
        return math.nan
    return math.degrees(math.atan2(abs(a[0] * b[1] - a[1] * b[0]), float(a @ b)))


def angle_of_progression(points: Floats, scale: Scale) -> Measurement:
    """Return the angle between the long axis of the pubic symphysis and the tangent from its lower end to the skull.

    Barbera et al., "A new method to assess fetal head descent in labor with transperineal ultrasound", Ultrasound
    Obstet. Gynecol. 33:313, 2009. The labels do not tell which end of the symphysis is the lower one; it is taken to
    be the one nearer to where the tangent touches the skull.

    Parameters
    ----------
    points : ndarray, shape (3, 2)
        (y, x) in pixels: the two ends of the symphysis, the place of touch.
    scale : Scale
    """
    name, inputs = "angle of progression", "symphysis ends (points 1 and 2), skull tangent (point 3)"
    if not np.isfinite(points).all():
        return absent(name, HIDDEN, inputs, "degrees")
    one, other, touch = scale.scaled(points)
    if np.hypot(*(one - touch)) <= np.hypot(*(other - touch)):
        lower, upper = one, other
    else:
        lower, upper = other, one
    angle = angle_degrees(lower, upper, touch)
    if math.isnan(angle):
        return absent(name, "two of the points are the same", inputs, "degrees")
    return Measurement(name, angle, "degrees", inputs=inputs, remark=scale.remark)
