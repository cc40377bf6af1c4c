"""A cine loop as the array that napari slices: one frame is decoded when it is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from m2dino.cine.loop import CineLoop
from m2dino.errors import LoopError
from numpy.typing import NDArray


class LoopArray:
    """An array of shape (T, H, W, 3), uint8 RGB, that decodes on slicing.

    A frame that cannot be decoded is shown as a marked blank (dark red, crossed out), never as a crash, and its index
    is noted in `damaged`.

    Attributes
    ----------
    loop : CineLoop
    damaged : dict of int to str
        Frames found to be undecodable so far, with the reason.
    """

    def __init__(self, loop: CineLoop) -> None:
        self.loop = loop
        self.shape = loop.shape
        self.ndim = 4
        self.dtype = np.dtype(np.uint8)
        self.damaged: dict[int, str] = {}

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Return one frame, (H, W, 3), or the marked blank in place of a damaged one."""
        try:
            return self.loop[index]
        except LoopError as error:
            self.damaged[index % len(self)] = str(error)
            return crossed_out(self.shape[1], self.shape[2])

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        parts = key if isinstance(key, tuple) else (key,)
        if Ellipsis in [part for part in parts if not isinstance(part, np.ndarray)]:
            at = parts.index(Ellipsis)
            parts = parts[:at] + (slice(None),) * (self.ndim - len(parts) + 1) + parts[at + 1 :]
        first, rest = (parts[0], parts[1:]) if parts else (slice(None), ())
        if isinstance(first, int | np.integer):
            if not -len(self) <= first < len(self):
                raise IndexError(f"frame {first} of {len(self)}")
            return self.frame(int(first))[rest]
        wanted = np.arange(len(self))[first]
        if wanted.ndim != 1:
            raise IndexError("frames are chosen by a number, a slice or a list of numbers")
        if not wanted.size:
            return np.empty((0, *self.shape[1:]), np.uint8)[(slice(None), *rest)]
        return np.stack([self.frame(int(index))[rest] for index in wanted])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        # Only a view of everything at once (3D display, saving) asks for this.
        return np.asarray(self[:], dtype=dtype)


def crossed_out(height: int, width: int) -> NDArray[np.uint8]:
    """Return the picture shown for a frame that cannot be decoded: (height, width, 3) uint8."""
    picture = np.full((height, width, 3), (48, 12, 12), np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    slope = height / max(width, 1)
    thick = max(height, width) / 80
    cross = (np.abs(y - slope * x) < thick) | (np.abs(y - (height - slope * x)) < thick)
    picture[cross] = (140, 40, 40)
    return picture
