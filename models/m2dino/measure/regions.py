"""Area, perimeter and axes of one class of a mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from m2dino.measure.ellipse import moment_ellipse
from m2dino.measure.outline import Region, outlines
from m2dino.measure.result import Measurement, absent
from m2dino.measure.scale import Floats, Scale


def extent(region: Region) -> Floats:
    """Return the corners (y, x), (2, 2), of the box of a region: where a scale has to hold; none where it is empty."""
    found = ndimage.find_objects(region.astype(np.uint8))
    if not found:
        return np.empty((0, 2))
    y, x = found[0]
    return np.array([(y.start, x.start), (y.stop - 1, x.stop - 1)], dtype=np.float64)


def largest_piece(region: Region) -> Region:
    """Return the largest connected piece, of 8 neighbours; the region itself where it is one piece or empty."""
    pieces, count = ndimage.label(region, structure=np.ones((3, 3)))
    return region if count < 2 else np.asarray(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1)


def area(region: Region, scale: Scale) -> float:
    """Return the area in the square of the scale's unit: pixels times the area of one."""
    return float(region.sum() * scale.pixel[0] * scale.pixel[1])


def perimeter(region: Region, scale: Scale) -> float:
    """Return the length of all outlines, those of holes included, in the scale's unit; see `outline`."""
    return float(sum(np.hypot(*np.diff(scale.scaled(points), axis=0).T).sum() for points in outlines(region)))


def region_measurements(name: str, region: Region, scale: Scale) -> tuple[Measurement, ...]:
    """Return area, perimeter, and the axes of the ellipse of equal moments, of what a class covers."""
    unit, inputs = scale.length_unit, f"pixels of {name}"
    ellipse = moment_ellipse(region, scale)
    if ellipse is None:
        return tuple(
            absent(f"{name} {what}", f"there is no {name} on this frame", inputs) for what in ("area", "perimeter")
        )
    axes = f"ellipse with the same moments as {name}"
    return (
        Measurement(f"{name} area", area(region, scale), scale.area_unit, inputs=inputs),
        Measurement(f"{name} perimeter", perimeter(region, scale), unit, inputs=f"outline of {name}"),
        Measurement(f"{name} long axis", ellipse.major, unit, inputs=axes),
        Measurement(f"{name} short axis", ellipse.minor, unit, inputs=axes),
    )
