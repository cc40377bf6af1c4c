"""The run lengths in which COCO keeps a mask: column after column, starting with a run of background.

The compressed form is that of the COCO API (`maskApi.c`, rleToString): from the fourth run on, each is a difference
from the one two before; numbers are written in groups of five bits, lowest first, as characters from "0" on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def encode_rle(inside: NDArray[np.bool_]) -> str:
    """Return the compressed run lengths of a mask, (H, W)."""
    flat = np.asarray(inside, dtype=bool).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    runs = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    text = []
    for i, run in enumerate(runs):
        number = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            group = number & 0x1F
            number >>= 5
            more = number != -1 if group & 0x10 else number != 0
            text.append(chr(48 + (group | 0x20 if more else group)))
    return "".join(text)


def decode_rle(counts: str | Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask, (H, W), of compressed or plain run lengths.

    Raises
    ------
    ValueError
        They are damaged, or do not fill a mask of this size.
    """
    runs = _numbers(counts) if isinstance(counts, str) else [int(run) for run in counts]
    if any(run < 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise ValueError("the run lengths do not fill the mask")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size, order="F")


def _numbers(text: str) -> list[int]:
    runs: list[int] = []
    number = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift > 60:
            raise ValueError("no run lengths")
        number |= (group & 0x1F) << shift
        shift += 5
        if not group & 0x20:
            if group & 0x10:
                number -= 1 << shift
            runs.append(number + runs[-2] if len(runs) > 2 else number)
            number = shift = 0
    if shift:
        raise ValueError("the run lengths are cut short")
    return runs
