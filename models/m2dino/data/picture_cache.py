"""A bounded memory of decoded pictures and labels; what was used longest ago makes way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import numpy as np
from PIL import Image

T = TypeVar("T")


class PictureCache:
    """Keep what `get` made, up to about `limit` bytes of pixels.

    Parameters
    ----------
    limit : int
        Bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under `key`, or make it."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return cast("T", self._entries[key][0])
        made = make()
        size = _bytes_of(made)
        self._entries[key] = (made, size)
        self._used += size
        while self._used > self._limit:
            self._used -= self._entries.popitem(last=False)[1][1]
        return made


def _bytes_of(made: object) -> int:
    """Count pixels where they are, and a little for everything else."""
    if isinstance(made, np.ndarray):
        return made.nbytes
    if isinstance(made, Image.Image):
        return made.width * made.height * len(made.getbands())
    if isinstance(made, list | tuple):
        return sum(map(_bytes_of, made))
    parts = getattr(made, "__dict__", {})
    return 200 + sum(map(_bytes_of, parts.values()))
