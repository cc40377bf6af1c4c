"""Volume of the left ventricle by the single-plane method of discs, and what its changes say.

Lang et al., "Recommendations for cardiac chamber quantification by echocardiography in adults", J. Am. Soc.
Echocardiogr. 28:1, 2015: the cavity is cut across its long axis into 20 discs of equal thickness, each taken to be
round.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from m2dino.measure.ellipse import moment_ellipse
from m2dino.measure.outline import Region
from m2dino.measure.result import Measurement, absent
from m2dino.measure.scale import Scale
from m2dino.measure.slices import sliced

DISCS = 20


def long_axis(cavity: Region, atrium: Region | None, scale: Scale) -> tuple[float, float]:
    """Return the direction (y, x), a unit vector in the scale's unit, of the long axis of a cavity that is not empty.

    Where the left atrium touches the cavity, their common border is the base, and the axis leads from its middle
    through the cavity's centre of gravity to the apex. The point that is farthest from the base, which is what one
    marks by eye, would jump with every bulge of the outline. Otherwise it is the long axis of the ellipse of equal
    moments.
    """
    if atrium is not None:
        border = cavity & ndimage.binary_dilation(atrium, structure=np.ones((3, 3)), iterations=2)
        if border.any():
            base = scale.scaled(np.argwhere(border)).mean(axis=0)
            towards = scale.scaled(np.argwhere(cavity)).mean(axis=0) - base
            reach = float(np.hypot(*towards))
            if reach > 0:
                return float(towards[0] / reach), float(towards[1] / reach)
    ellipse = moment_ellipse(cavity, scale)
    return (1.0, 0.0) if ellipse is None else ellipse.direction


def volume(cavity: Region, atrium: Region | None, scale: Scale) -> Measurement:
    """Return the volume by 20 discs, in ml, or in cubes of a pixel without a scale.

    Parameters
    ----------
    cavity : ndarray of bool, shape (H, W)
    atrium : ndarray of bool, shape (H, W), or None
        The left atrium, where it is known: it shows the base.
    scale : Scale
    """
    name, inputs = "left ventricular volume", f"method of {DISCS} discs, one plane"
    if not cavity.any():
        return absent(name, "there is no cavity on this frame", inputs, "ml" if scale.millimetres else "px³")
    slices = sliced(cavity, long_axis(cavity, atrium, scale), scale, DISCS)
    cubed = float(math.pi / 4 * (slices.widths**2).sum() * slices.thickness)
    if scale.millimetres:
        return Measurement(name, cubed / 1000, "ml", inputs=inputs)
    return Measurement(name, cubed, "px³", inputs=inputs, remark=scale.remark)
