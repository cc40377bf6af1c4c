"""Deep grey values (more than 8 bits a pixel) shown as 8-bit grey where the file names no window."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.loop import Frame

_WELL_USED = 0.25


def display_range(samples: Iterable[NDArray[Any]], full: tuple[float, float]) -> tuple[float, float]:
    """Return the (least, greatest) value to show as black and white.

    It is the full range of the format where the frames use a fair part of it, so that the scanner's own greys stay; a
    loop that uses less than a quarter (10-bit values stored in 16 bits) would be all but black, and is stretched.

    Parameters
    ----------
    samples : iterable of ndarray
        Values of some frames, spread over the loop, so that every frame is later shown by one rule.
    full : tuple of float
        (least, greatest) value that the format can hold.
    """
    extremes = [(float(values.min()), float(values.max())) for values in samples if values.size]
    least, greatest = min(low for low, _ in extremes), max(high for _, high in extremes)
    if greatest <= least or greatest - least >= _WELL_USED * (full[1] - full[0]):
        return full
    return least, greatest


def grey_table(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return `values` mapped linearly from [low, high] to 0..255, rounded and clipped."""
    scaled = (values.astype(np.float64) - low) * (255.0 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def grey_to_rgb(grey: NDArray[np.uint8]) -> Frame:
    """Return (H, W) grey as (H, W, 3)."""
    rgb = np.empty((*grey.shape, 3), dtype=np.uint8)
    rgb[...] = grey[..., None]
    return rgb


def spread(count: int, wanted: int = 3) -> list[int]:
    """Return up to `wanted` frame indices spread evenly from the first frame of `count` to the last."""
    return sorted({round(step * (count - 1) / max(wanted - 1, 1)) for step in range(wanted)})
