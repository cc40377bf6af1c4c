"""Inner diameter of a vessel from the mask of its lumen."""

from __future__ import annotations

from m2dino.measure.ellipse import moment_ellipse
from m2dino.measure.outline import Region
from m2dino.measure.result import Measurement, absent
from m2dino.measure.scale import Scale
from m2dino.measure.slices import sliced

LONGISH = 2.0
"""From this ratio of its axes on, a lumen is taken to be cut along, not across."""
_SLICES = 50
_MIDDLE = slice(5, 45)


def lumen_diameter(region: Region, scale: Scale) -> Measurement:
    """Return the inner diameter of a lumen.

    Cut across, a vessel shows an ellipse: its diameter is the short axis of the ellipse of equal moments, since a cut
    that is a little oblique lengthens the other axis alone. Cut along, it shows a band: its diameter is the mean width
    over the middle four fifths of its length, the ends being those of the picture, not of the vessel. The largest
    inscribed circle, which is often used, is the *largest* width of a band and grows with every bulge of a drawn
    outline.
    """
    name = "lumen diameter"
    ellipse = moment_ellipse(region, scale)
    if ellipse is None:
        return absent(name, "there is no lumen on this frame", "pixels of the lumen", scale.length_unit)
    if ellipse.major < LONGISH * ellipse.minor:
        return Measurement(
            name, ellipse.minor, scale.length_unit, inputs="cut across: short axis of the lumen's ellipse"
        )
    widths = sliced(region, ellipse.direction, scale, _SLICES).widths[_MIDDLE]
    return Measurement(name, float(widths.mean()), scale.length_unit, inputs="cut along: mean width of the lumen")
