"""Exact mapping between the pixels of a frame and those of its reduced copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Grid:
    """Two sizes of one picture, (height, width) each; pixel (0, 0) covers -0.5 to +0.5 in both."""

    full: tuple[int, int]
    small: tuple[int, int]

    @property
    def scale(self) -> NDArray[np.float32]:
        """Full pixels in a small one, (y, x)."""
        return np.divide(self.full, self.small).astype(np.float32)

    def to_small(self, at: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return places (2, ...) of the full frame in pixels of the small one."""
        scale = self.scale.reshape(2, *[1] * (at.ndim - 1))
        return np.asarray((at + 0.5) / scale - 0.5)

    def to_full(self, at: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return places (2, ...) of the small frame in pixels of the full one."""
        scale = self.scale.reshape(2, *[1] * (at.ndim - 1))
        return np.asarray((at + 0.5) * scale - 0.5)

    def covered(self, places: NDArray[np.bool_], *, at_all: bool = False) -> NDArray[np.bool_]:
        """Return the small pixels of which `places`, (H, W), cover half or, with `at_all`, any part.

        Where they cover no pixel by half, as a thin line may, any part is enough.
        """
        picture = Image.fromarray(places.astype(np.float32))
        share = np.asarray(picture.resize(self.small[::-1], Image.Resampling.BOX))
        half = share >= 0.5
        return np.asarray(share > 0) if at_all or not half.any() else half

    def enlarged(self, window: tuple[slice, slice]) -> tuple[slice, slice]:
        """Return the pixels of the full frame that a window of the small one touches, with one small pixel around."""
        y, x = (
            slice(max(0, int((part.start - 1) * scale)), min(size, int(np.ceil((part.stop + 1) * scale))))
            for part, scale, size in zip(window, self.scale, self.full, strict=True)
        )
        return y, x
