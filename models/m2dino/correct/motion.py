"""How the tissue moves from one frame to the next around a structure.

Two steps. The bulk of the motion, such as that of the probe over the skin, is found by sliding the surroundings of the
structure over the next frame (normalised cross-correlation); what remains is a dense optical flow in a window about it,
by iterative Lucas-Kanade (Le Besnerais and Champagnat, "Dense optical flow by iterative local window registration",
ICIP 2005), as scikit-image has it. Both work on frames of at most 192 pixels; docs/decisions/0026 holds the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from m2dino.cine.loop import Frame

Floats = NDArray[np.float32]
Window = tuple[int, int, int, int]
"""(y_min, x_min, y_max, x_max) in pixels of the reduced frame, end exclusive."""

LONGEST_SIDE = 192
_MARGIN = 20
_FLOW_RADIUS = 7
_WARPS = 3
_BLUR = 1.0
# How far the bulk motion may reach, as a share of the longer side, and how much the match must gain by going there.
_REACH = 0.25
_COST_OF_REACHING = 0.2


def reduced(frame: Frame) -> Floats:
    """Return the grey levels of a frame, (h, w) in 0 to 1, its longer side at most 192 pixels."""
    grey = Image.fromarray(frame).convert("L")
    scale = min(1.0, LONGEST_SIDE / max(grey.size))
    size = (max(8, round(grey.width * scale)), max(8, round(grey.height * scale)))
    return np.asarray(grey.resize(size, Image.Resampling.BOX)).astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Motion:
    """The motion between two reduced frames, in their pixels.

    Attributes
    ----------
    shift : tuple of int
        (y, x), the bulk motion.
    likeness : float
        Correlation, -1 to 1, of the structure's surroundings before and after the bulk motion.
    forward : ndarray of float32, shape (2, h, w)
        (y, x) to add to a place of the earlier frame to find it in the later one. Outside the window: the bulk motion.
    backward : ndarray of float32, shape (2, h, w)
        The same from the later frame to the earlier one.
    """

    shift: tuple[int, int]
    likeness: float
    forward: Floats
    backward: Floats

    def consistency(self, places: NDArray[np.bool_]) -> float:
        """Return the share, 0 to 1, of `places`, (h, w), of the later frame that come back, followed there and back."""
        if not places.any():
            return 0.0
        bulk = (-self.shift[0], -self.shift[1])
        return float(_comes_back(np.argwhere(places).T, self.backward, self.forward, bulk).mean())

    def trusted(self) -> NDArray[np.bool_]:
        """Return which places, (h, w), of the earlier frame come back when followed there and back."""
        at = np.indices(self.forward.shape[1:]).reshape(2, -1)
        return _comes_back(at, self.forward, self.backward, self.shift).reshape(self.forward.shape[1:])


def _comes_back(at: NDArray[np.integer], out: Floats, back: Floats, bulk: tuple[int, int]) -> NDArray[np.bool_]:
    """Return whether places (2, n) that follow `out` and then `back` arrive where they began.

    The bound is that of Sundaram, Brox and Keutzer, "Dense point trajectories by GPU-accelerated large displacement
    optical flow", ECCV 2010, on what the bulk motion leaves. What leaves the frame does not come back.
    """
    there = out[:, at[0], at[1]]
    again = sampled(back, at + there)
    by_bulk = np.array(bulk, dtype=np.float32)[:, None]
    size = ((there - by_bulk) ** 2).sum(0) + ((again + by_bulk) ** 2).sum(0)
    limits = np.array(out.shape[1:])[:, None]
    within = ((at + there > -0.5) & (at + there < limits - 0.5)).all(axis=0)
    return np.asarray(within & (((there + again) ** 2).sum(0) < 0.01 * size + 0.5))


def sampled(fields: Floats, at: NDArray[np.floating]) -> Floats:
    """Return (n, ...) values of fields (n, h, w), linearly between pixels, at places (2, ...); the border goes on."""
    return np.stack([ndimage.map_coordinates(field, at, order=1, mode="nearest") for field in fields])


def motion(earlier: Floats, later: Floats, around: Window) -> Motion:
    """Return the motion between two reduced frames around a structure of the earlier one."""
    from skimage.registration import optical_flow_ilk

    shape = earlier.shape
    shift, likeness = _bulk(earlier, later, around)
    aligned = ndimage.shift(earlier, shift, order=0, mode="nearest")
    window = np.s_[_span(around, 0, shift, shape), _span(around, 1, shift, shape)]
    before, after = (ndimage.gaussian_filter(frame[window], _BLUR) for frame in (aligned, later))
    bulk = np.array(shift, dtype=np.float32)[:, None, None]
    forward, backward = np.broadcast_to(bulk, (2, *shape)).copy(), np.broadcast_to(-bulk, (2, *shape)).copy()
    if min(before.shape) > 2 * _FLOW_RADIUS:
        options = {"radius": _FLOW_RADIUS, "num_warp": _WARPS, "dtype": np.float32}
        whole = (slice(None), *window)
        backward[whole] += optical_flow_ilk(after, before, **options)
        # Found on the aligned grid; the bulk motion brings it to the grid of the earlier frame.
        rest = np.zeros((2, *shape), np.float32)
        rest[whole] = optical_flow_ilk(before, after, **options)
        forward += ndimage.shift(rest, (0, -shift[0], -shift[1]), order=0)
    return Motion(shift, likeness, forward, backward)


def _bulk(earlier: Floats, later: Floats, around: Window) -> tuple[tuple[int, int], float]:
    from skimage.feature import match_template

    shape = earlier.shape
    reach = int(_REACH * max(shape))
    half = _MARGIN // 2
    top, bottom = max(0, around[0] - half), min(shape[0], around[2] + half)
    left, right = max(0, around[1] - half), min(shape[1], around[3] + half)
    template = earlier[top:bottom, left:right]
    # Beyond its edge the frame goes on, so that a structure which is leaving it is still found; mirrored, since where
    # nothing varies there is no correlation.
    searched = np.pad(later.astype(np.float64), reach, mode="symmetric")[
        top : bottom + 2 * reach, left : right + 2 * reach
    ]
    if template.size == 0 or float(template.std()) < 1e-3:
        return (0, 0), 0.0
    likeness = match_template(searched, template.astype(np.float64))
    likeness[~(likeness <= 1 + 1e-6)] = -1  # rounding, where the picture is nearly of one grey
    moves = np.indices(likeness.shape) - reach
    cost = _COST_OF_REACHING * np.hypot(*moves) / max(shape)
    best = np.unravel_index(np.argmax(likeness - cost), likeness.shape)
    return (int(moves[0][best]), int(moves[1][best])), float(likeness[best])


def _span(around: Window, axis: int, shift: tuple[int, int], shape: tuple[int, ...]) -> slice:
    start = max(0, around[axis] + shift[axis] - _MARGIN)
    return slice(min(start, shape[axis]), min(shape[axis], max(start, around[axis + 2] + shift[axis] + _MARGIN)))
