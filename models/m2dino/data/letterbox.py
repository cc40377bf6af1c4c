"""From a frame of any size to the network's square and back, exactly.

The aspect ratio is kept and the rest is padded with black, because a stretched ellipse is another ellipse. Network
coordinates are (y, x) in [0, 1], where 0 and 1 are the outer edges of the square; original coordinates are pixels whose
centres are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as T


@dataclass(frozen=True)
class Letterbox:
    """The placing of an (height, width) frame in a square of `size` pixels."""

    height: int
    width: int
    size: int

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the frame inside the square."""
        scale = self.size / max(self.height, self.width)
        return max(1, round(self.height * scale)), max(1, round(self.width * scale))

    @property
    def offset(self) -> tuple[int, int]:
        """Rows above and columns left of the frame inside the square."""
        inner_h, inner_w = self.inner
        return (self.size - inner_h) // 2, (self.size - inner_w) // 2

    def points_in(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Original pixels (…, 2) as (y, x) -> network coordinates; NaN stays NaN."""
        scale = np.divide(self.inner, (self.height, self.width))
        placed = (np.asarray(points, dtype=np.float64) + 0.5) * scale + self.offset
        return np.asarray(placed / self.size)

    def points_out(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Network coordinates (…, 2) as (y, x) -> original pixels: the inverse of `points_in`."""
        scale = np.divide(self.inner, (self.height, self.width))
        placed = np.asarray(points, dtype=np.float64) * self.size - self.offset
        return np.asarray(placed / scale - 0.5)

    def edges_in(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Box edges, (…, 2) as (y, x) with an exclusive end -> network coordinates.

        An edge is the outer side of a pixel: edge 0 is the frame's border, where pixel centre 0 lies half a pixel in.
        """
        return self.points_in(np.asarray(edges, dtype=np.float64) - 0.5)

    def edges_out(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Network coordinates -> box edges in original pixels: the inverse of `edges_in`."""
        return self.points_out(edges) + 0.5

    def image_in(self, frame: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) uint8 RGB -> (3, size, size) uint8, resized with antialiasing and padded with 0."""
        # Frames may be read-only; torch needs to be told that nothing will be written.
        image = torch.from_numpy(np.array(frame, copy=not frame.flags.writeable)).permute(2, 0, 1)
        inner = T.resize(image, list(self.inner), antialias=True)
        return self._padded(inner)

    def mask_in(self, labels: NDArray[np.uint8]) -> Tensor:
        """(H, W) class indices -> (size, size) uint8; nearest neighbour, padded with background."""
        mask = torch.from_numpy(np.array(labels, dtype=np.uint8))[None]
        inner = T.resize(mask, list(self.inner), interpolation=T.InterpolationMode.NEAREST_EXACT)
        return self._padded(inner)[0]

    def _padded(self, inner: Tensor) -> Tensor:
        (top, left), (inner_h, inner_w) = self.offset, self.inner
        square = inner.new_zeros((inner.shape[0], self.size, self.size))
        square[:, top : top + inner_h, left : left + inner_w] = inner
        return square

    def logits_out(self, logits: Tensor) -> Tensor:
        """(K, h, w) logits over the square, of any resolution -> (K, H, W) over the original frame; bilinear."""
        # Each original pixel's centre is looked up in the square: no rounding to the map's cells.
        y = self.points_in(np.stack([np.arange(self.height), np.zeros(self.height)], axis=-1))[:, 0]
        x = self.points_in(np.stack([np.zeros(self.width), np.arange(self.width)], axis=-1))[:, 1]
        # Separable: rows first, then columns, which costs far less than a two-dimensional lookup.
        rows = _lerp(logits, torch.from_numpy(y).to(logits), dim=1)
        return _lerp(rows, torch.from_numpy(x).to(logits), dim=2)


def _lerp(values: Tensor, positions: Tensor, dim: int) -> Tensor:
    """Interpolate linearly along `dim` at positions in [0, 1], whose cells' centres are (i + 0.5) / n."""
    count = values.shape[dim]
    where = (positions * count - 0.5).clamp(0, count - 1)
    low = where.floor().long().clamp(max=max(count - 2, 0))
    high = (low + 1).clamp(max=count - 1)
    shape = [1] * values.ndim
    shape[dim] = -1
    weight = (where - low).view(shape)
    below, above = values.index_select(dim, low), values.index_select(dim, high)
    return below + (above - below) * weight


def resize_logits(logits: Tensor, size: int) -> Tensor:
    """(B, K, h, w) -> (B, K, size, size), bilinear."""
    return F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)
