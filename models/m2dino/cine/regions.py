"""The regions of an ultrasound frame, and the scale that holds at some points of it.

A frame may hold several images side by side, an M-mode or a spectrum beneath and a curve of the heart's current: a
length in millimetres makes sense only inside one two-dimensional image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from m2dino.cine.calibration import Calibration

RegionKind = Literal["tissue", "colour flow", "M-mode", "spectrum", "waveform", "graphics", "other"]
_SPATIAL: tuple[RegionKind, ...] = ("tissue", "colour flow")


@dataclass(frozen=True)
class Region:
    """One ultrasound region of a frame.

    Attributes
    ----------
    box : tuple of int
        (y_min, x_min, y_max, x_max), original-frame pixels, end exclusive, inside the frame.
    kind : str
        "tissue" and "colour flow" are two-dimensional images; all else has time, velocity or a curve on an axis.
    calibration : Calibration or None
        Its scale; always None for what is not a two-dimensional image.
    reason : str
        Where the scale comes from, or why there is none.
    """

    box: tuple[int, int, int, int]
    kind: RegionKind
    calibration: Calibration | None
    reason: str

    @property
    def area(self) -> int:
        """Pixels of the box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def spatial(self) -> bool:
        """Whether both axes are lengths in the body."""
        return self.kind in _SPATIAL

    def covers(self, y: float, x: float) -> bool:
        """Whether the point (y, x), in original-frame pixels, lies in the box."""
        y_min, x_min, y_max, x_max = self.box
        return y_min - 0.5 <= y <= y_max - 0.5 and x_min - 0.5 <= x <= x_max - 0.5


def tissue_region(regions: Sequence[Region]) -> tuple[int, int, int, int] | None:
    """Return the box of the largest two-dimensional image, or None where the file names none."""
    spatial = [region for region in regions if region.spatial]
    return max(spatial, key=lambda region: region.area).box if spatial else None


def calibration_at(
    points: Sequence[tuple[float, float]], regions: Sequence[Region], whole: Calibration | None, reason: str
) -> tuple[Calibration | None, str]:
    """Return the scale that holds at all `points`, or None and why there is none.

    Parameters
    ----------
    points : sequence of (y, x)
        In original-frame pixels.
    regions : sequence of Region
    whole : Calibration or None
        The loop's own scale: used where there are no regions, or where a person has set it.
    reason : str
        Where `whole` comes from, or why there is none.
    """
    if whole is None and not regions:
        return None, reason
    # A scale that is none of the regions' own was set by a person, who knows better.
    if whole is not None and whole not in [region.calibration for region in regions]:
        held = all(whole.covers(y, x) for y, x in points)
        return (whole, reason) if held else (None, "the points do not all lie where the scale holds")
    touched = [region for region in regions if any(region.covers(y, x) for y, x in points)]
    for region in touched:
        if not region.spatial:
            return None, f"the points touch {_with_article(region.kind)}, whose axes are not both lengths"
    holding = [region for region in touched if all(region.covers(y, x) for y, x in points)]
    if not holding:
        return None, "the points do not lie in one two-dimensional image"
    # A colour box lies within the image that it colours; both have one scale, or neither can be trusted.
    scales = [region.calibration for region in holding]
    first = min(holding, key=lambda region: region.area)
    if first.calibration is None:
        return None, first.reason
    if any(scale is not None and not scale.agrees_with(first.calibration) for scale in scales):
        return None, "the regions that hold the points disagree about the pixel size"
    return first.calibration, first.reason


def _with_article(kind: str) -> str:
    return kind if kind == "graphics" else f"an {kind}" if kind[0] in "Mo" else f"a {kind}"
