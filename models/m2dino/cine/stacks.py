"""Loops that are slices of one array: volumes and NumPy files. Values of any kind become 8-bit grey by one rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.greys import display_range, grey_table, grey_to_rgb, spread
from m2dino.cine.identity import EncodedFrame, content_signature
from m2dino.cine.loop import CineLoop, Frame

# What a scanner's greys go up to: 8, 12 and 16 bits.
_USUAL_TOPS = (255.0, 4095.0, 65535.0)


class StackLoop(CineLoop):
    """A loop of `count` slices, each (H, W), or (H, W, 3) of RGB.

    Values of one byte are shown as they are. All others are mapped by one range for the whole loop: that of 8, 12 or
    16 bits or of 0 to 1 where three frames spread over the loop use a fair part of it, else what those frames use.
    """

    _count: int

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._range: tuple[float, float] | None = None

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def _slice(self, index: int) -> NDArray[Any]:
        """Return slice `index`: (H, W), or (H, W, 3 or more) whose first three are RGB."""

    def _decode(self, index: int) -> Frame:
        values = self._slice(index)
        colour = values.ndim == 3
        values = values[..., :3] if colour else values
        if values.dtype == np.bool_:
            grey = np.where(values, np.uint8(255), np.uint8(0))
        elif values.dtype == np.uint8:
            grey = np.asarray(values)
        else:
            if self._range is None:
                self._range = _range_of(self._slice(k) for k in spread(self._count))
            grey = grey_table(np.nan_to_num(values.astype(np.float64)), *self._range)
        return grey if colour else grey_to_rgb(grey)

    def _sign(self, size: int, read: Any, way: int) -> None:
        """Set identity and name from `size` stored bytes, of which `read(offset, length)` returns a part.

        `way` says along which axis, where another gives the same shape; see `way_of_reading`.
        """
        piece = max(size // self._count, 1)
        starts = range(0, min(size, piece * self._count), piece)

        def part(start: int) -> EncodedFrame:
            end = size if start == starts[-1] else start + piece
            return EncodedFrame(end - start, lambda offset, length: read(start + offset, length))

        self.identity = content_signature((self._count, self.height, self.width), map(part, starts), way)
        self.name = f"{self.reader} {self.identity[:8]}"


def _range_of(slices: Iterator[NDArray[Any]]) -> tuple[float, float]:
    """Return the values to show as black and white."""
    some = [np.nan_to_num(np.asarray(values), posinf=0, neginf=0) for values in slices]
    low, high = min(float(values.min()) for values in some), max(float(values.max()) for values in some)
    if low >= 0 and some[0].dtype.kind == "f" and high <= 1:
        return display_range(some, (0.0, 1.0))
    for top in _USUAL_TOPS:
        if low >= 0 and high <= top:
            return display_range(some, (0.0, top))
    return display_range(some, (low, high if high > low else low + 1))
