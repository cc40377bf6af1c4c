"""Which axis of a volume or an array counts the frames: read where the file says it, asked for where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from m2dino.errors import AmbiguousLoopError, UnsupportedLoopError, UsageError

FrameAxis = str | int
"""An axis by its name: "x", "y", "z" or "t" of a volume, the number of the axis of a NumPy array."""


def choose_frame_axis(path: Path, axes: Mapping[str, int], said: str | None, asked: FrameAxis | None) -> str | None:
    """Return the name of the axis that counts the frames, or None where there is a single frame.

    Parameters
    ----------
    path : Path
        For messages.
    axes : mapping of str to int
        Names and lengths, the slowest axis first; the axes that are left become rows and columns in this order.
    said : str or None
        The axis that the file itself names.
    asked : str, int or None
        The caller's choice; it goes before what the file says.

    Raises
    ------
    AmbiguousLoopError
        Neither the file nor the caller says it.
    UsageError
        The caller's choice is not an axis that could count frames.
    UnsupportedLoopError
        There are more than three axes, or fewer than two, longer than one.
    """
    long = {name: length for name, length in axes.items() if length > 1}
    if asked is not None:
        name = str(asked)
        if name not in axes:
            raise UsageError(f"{path} has no axis {name}: choose one of {', '.join(axes)}.")
        others = [length for other, length in long.items() if other != name]
        if len(others) != 2:
            raise UsageError(f"{path} does not have two further axes besides {name} that could make a picture.")
        return name
    if len(long) == 2:
        return None
    if len(long) != 3:
        form = " × ".join(str(length) for length in axes.values())
        raise UnsupportedLoopError(
            f"{path} has the shape {form}, which is no loop of pictures: save one plane over time, "
            "as (frames, height, width)."
        )
    if said in long:
        return said
    choices = {name: _shape(long, name) for name in long}
    told = "; ".join(f"{name} gives {n} frames of {w} × {h}" for name, (n, h, w) in choices.items())
    raise AmbiguousLoopError(
        f"{path} does not say which of its axes counts the frames: choose with frame_axis ({told}).", choices
    )


def way_of_reading(axes: Mapping[str, int], chosen: str | None) -> int:
    """Return which loop is meant of those of one shape that a volume or an array of equal sides can be read as.

    Parameters
    ----------
    axes : mapping of str to int
        As for `choose_frame_axis`.
    chosen : str or None
        The axis that it returned.

    Returns
    -------
    int
        How many axes before the chosen one give the same (frames, height, width): 0 nearly always.
    """
    long = {name: length for name, length in axes.items() if length > 1}
    if chosen not in long:  # a single picture, which is the same along whatever axis of length 1
        return 0
    same = [name for name in long if _shape(long, name) == _shape(long, chosen)]
    return same.index(chosen)


def _shape(long: Mapping[str, int], name: str) -> tuple[int, int, int]:
    height, width = (length for other, length in long.items() if other != name)
    return long[name], height, width
