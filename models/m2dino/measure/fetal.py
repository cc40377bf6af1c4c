"""Fetal biometry: head circumference, head diameters, femur length, and the gestational age that they suggest.

Hadlock, Deter, Harrist and Park, "Estimating fetal age: computer-assisted analysis of multiple fetal growth
parameters", Radiology 152:497-501, 1984; lengths in cm, age in weeks, from fetuses of 12 to 42 weeks:

- head circumference: 8.96 + 0.540 HC + 0.0003 HC³
- biparietal diameter: 9.54 + 1.482 BPD + 0.1676 BPD²
- femur length: 10.35 + 2.460 FL + 0.170 FL²
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m2dino.measure.ellipse import fitted_ellipse, ramanujan_circumference
from m2dino.measure.lines import length
from m2dino.measure.outline import Region
from m2dino.measure.regions import area
from m2dino.measure.result import Measurement, absent
from m2dino.measure.scale import Floats, Scale
from m2dino.scoring.lengths import Length, crosses

WEEKS = (12.0, 42.0)
_FORMULAS: dict[str, Callable[[float], float]] = {
    "head circumference": lambda cm: 8.96 + 0.540 * cm + 0.0003 * cm**3,
    "biparietal diameter": lambda cm: 9.54 + 1.482 * cm + 0.1676 * cm**2,
    "femur length": lambda cm: 10.35 + 2.460 * cm + 0.170 * cm**2,
}
_LEAST_FILLED = 0.9


def gestational_age(measured: Measurement) -> Measurement:
    """Return the age in weeks that a length suggests; none without millimetres, or outside 12 to 42 weeks.

    Parameters
    ----------
    measured : Measurement
        Named "head circumference", "biparietal diameter" or "femur length".
    """
    name, inputs = f"gestational age by {measured.name}", f"{measured.name}, Hadlock 1984"
    if measured.value is None:
        return absent(name, measured.reason, inputs, "weeks")
    if measured.unit != "mm":
        return absent(name, "the length is not known in millimetres", inputs, "weeks")
    weeks = _FORMULAS[measured.name](measured.value / 10)
    if not WEEKS[0] <= weeks <= WEEKS[1]:
        return absent(name, "outside the 12 to 42 weeks that the formula was made for", inputs, "weeks")
    return Measurement(name, weeks, "weeks", inputs=inputs)


def head_from_mask(region: Region, scale: Scale) -> tuple[Measurement, ...]:
    """Return circumference, diameters (outer edge to outer edge) and age of a head from the ellipse that fits it.

    There are none where the outline is no ellipse: where the region and the ellipse differ in area by more than a
    tenth.
    """
    inputs, unit = "ellipse fitted to the outline of the head", scale.length_unit
    ellipse = fitted_ellipse(region, scale)
    names = ("head circumference", "biparietal diameter", "occipitofrontal diameter")
    if ellipse is None:
        reason = "no ellipse fits the outline" if region.any() else "there is no head on this frame"
    else:
        share = area(region, scale) / (np.pi / 4 * ellipse.major * ellipse.minor)
        reason = "" if _LEAST_FILLED <= share <= 1 / _LEAST_FILLED else "the outline is not that of a whole ellipse"
    if ellipse is None or reason:
        return tuple(absent(name, reason, inputs, unit) for name in names)
    values = (ellipse.circumference, ellipse.minor, ellipse.major)
    around, across, along = (Measurement(n, v, unit, inputs=inputs) for n, v in zip(names, values, strict=True))
    return around, across, along, gestational_age(around)


def head_from_points(points: Floats, along: Length, across: Length, scale: Scale) -> tuple[Measurement, ...]:
    """Return diameters, circumference and age of a head from the four ends, (K, 2), of its two diameters."""
    long = length("occipitofrontal diameter", points, along.start, along.end, scale)
    short = length("biparietal diameter", points, across.start, across.end, scale)
    name, inputs = "head circumference", "ellipse with both diameters as axes"
    if long.value is None or short.value is None:
        around = absent(name, long.reason or short.reason, inputs, scale.length_unit)
    elif not crosses(along, across, points):
        around = absent(name, "the two diameters do not cross each other", inputs, scale.length_unit)
    else:
        around = Measurement(name, ramanujan_circumference(long.value, short.value), scale.length_unit, inputs=inputs)
    return around, short, long, gestational_age(around)


def femur(points: Floats, scale: Scale) -> tuple[Measurement, ...]:
    """Return length and age of a femur from its two ends, (2, 2)."""
    measured = length("femur length", points, 0, 1, scale)
    return measured, gestational_age(measured)
