"""Arrays that lie in a file, of which one slice is read at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MappedArray:
    """An array in a file.

    Attributes
    ----------
    file : Path or binary file
    dtype : dtype
    offset : int
        Of its first byte.
    shape : tuple of int
    order : str
        "C": the last axis is the fastest; "F": the first.
    """

    file: Path | IO[bytes]
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    order: Literal["C", "F"] = "C"

    def take(self, index: int, axis: int | None) -> NDArray[Any]:
        """Return a copy of slice `index` along `axis`; of all where `axis` is None.

        The file is mapped for this one slice alone: pages of a lasting map would count as memory once they were read.
        """
        array = np.memmap(self.file, self.dtype, "r", self.offset, self.shape, self.order)
        return np.array(array if axis is None else array[(slice(None),) * axis + (index,)])
