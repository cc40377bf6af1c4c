"""The reader: files and folders that hold a cine loop become image layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m2dino.cine.loop import CineLoop

PathOrPaths = str | PathLike[str] | Sequence[str | PathLike[str]]
LayerData = tuple[Any, ...]
NOTHING: list[LayerData] = [(None,)]
"""What napari takes to mean: read, and there is no layer to add."""


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return the function that reads `path`, or None where nothing is there to read.

    Whether it is a loop is found out by reading: a file of the right name that is not one gives a clear error then.
    """
    return read_or_tell if all(one.exists() for one in _paths(path)) else None


def read_or_tell(path: PathOrPaths) -> list[LayerData]:
    """Read as `read` does; with a window open, show an error as its sentence, where napari would hide it in a trace.

    Raises
    ------
    LoopError
        As `read`, where there is no window to show it in.
    """
    from m2dino.errors import M2DinoError
    from napari import current_viewer
    from napari.utils.notifications import show_error

    try:
        return read(path)
    except M2DinoError as error:
        if current_viewer() is None:
            raise
        show_error(str(error))
        return NOTHING


def read(path: PathOrPaths) -> list[LayerData]:
    """Open every loop of the path(s) and return its layer data: an RGB image of shape (T, H, W, 3), lazily decoded.

    Raises
    ------
    LoopError
        A file is not a loop that can be read; the message says why and what to do.
    """
    from napari_m2dino.loop_layer import image_layer

    return [image_layer(loop) for one in _paths(path) for loop in open_all(one)]


def open_all(path: Path) -> list[CineLoop]:
    """Open the loop, or the loops, of one file or folder."""
    import m2dino

    return list(m2dino.open_loops(path))


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | PathLike) else [Path(one) for one in path]
