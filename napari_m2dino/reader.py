"""The reader: files and folders that hold a cine loop become image layers.

In the window a folder or a DICOMDIR with several loops makes it ask which; a script gets all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m2dino.cine.loop import CineLoop
    from napari.viewer import Viewer

PathOrPaths = str | PathLike[str] | Sequence[str | PathLike[str]]
LayerData = tuple[Any, ...]
LONG_BYTES = 2**26
"""Of more packed bytes than these, about a second's worth, a person is told how far it is."""
NOTHING: list[LayerData] = [(None,)]
"""What napari takes to mean: read, and there is no layer to add."""


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return the function that reads `path`, or None where nothing is there to read.

    Whether it is a loop is found out by reading: a file of the right name that is not one gives a clear error then.
    """
    return read_or_ask if all(one.exists() for one in _paths(path)) else None


def read_or_ask(path: PathOrPaths) -> list[LayerData]:
    """Read for napari, as well as the situation allows.

    - Without a window: as `read`.
    - In a script with a window: the same, but each file that cannot be read is told in the window, where napari would
      hide its sentence in a trace, and the others open.
    - While a person works in the window: what was dropped, or chosen in a dialog, and folders, tables of contents and
      files whose frame axis is not known or that take long to unpack, are opened in the background, with a question
      where one is needed; their layers come a moment later.

    Raises
    ------
    AmbiguousLoopError
        In a script: the message says what to pass to `m2dino.open_loop`; `loop_layer.add_loop` shows the result.
    LoopError
        Without a window, as `read`.
    """
    from m2dino.cine.opening import is_dicomdir
    from m2dino.errors import AmbiguousLoopError
    from napari import current_viewer

    from napari_m2dino.napari_compat import chosen_in_window, person_at_work
    from napari_m2dino.opening.finding import open_named

    viewer = current_viewer()
    if viewer is None:
        return read(path)
    asking = person_at_work()
    if asking and chosen_in_window():
        _open_later(viewer, _paths(path))
        return NOTHING
    loops: list[CineLoop] = []
    later: list[Path] = []
    problems: list[str] = []
    for one in _paths(path):
        if asking and (one.is_dir() or is_dicomdir(one)):
            later.append(one)
            continue
        try:
            opened = open_named(one, problems.append)
            if asking and any(loop.bytes_to_unpack > LONG_BYTES for loop in opened):
                later.append(one)
            else:
                loops += opened
        except AmbiguousLoopError:
            if not asking:
                raise
            later.append(one)
    if later:
        _open_later(viewer, later)
    _tell(problems)
    return _layers(loops) or NOTHING


def read(path: PathOrPaths) -> list[LayerData]:
    """Open every loop of the path(s) and return its layer data: an RGB image of shape (T, H, W, 3), lazily decoded.

    Raises
    ------
    LoopError
        A file is not a loop that can be read; the message says why and what to do.
    AmbiguousLoopError
        A file does not say which axis counts its frames; the message says what to choose between.
    """
    import m2dino

    return _layers([loop for one in _paths(path) for loop in m2dino.open_loops(one)])


def _layers(loops: Sequence[CineLoop]) -> list[LayerData]:
    from napari_m2dino.loop_layer import image_layer

    return [image_layer(loop) for loop in loops]


def _open_later(viewer: Viewer, paths: list[Path]) -> None:
    """Open paths once napari has come back from its own reading; it hands over dropped files one by one."""
    from functools import partial

    from napari_m2dino.napari_compat import main_window
    from napari_m2dino.opening.controller import Opening
    from napari_m2dino.widgets.opening_bar import OpeningBar

    window = main_window(viewer)
    opening = window.findChild(Opening) if window is not None else None
    if opening is None:
        opening = Opening(
            viewer, lambda text, level: _tell([text] if level == "error" else []), partial(main_window, viewer)
        )
        opening.setParent(window)
        opening.idle.connect(opening.close)
        opening.idle.connect(opening.deleteLater)
        status = getattr(window, "statusBar", lambda: None)()
        if status is not None:
            bar = OpeningBar(opening)
            status.addPermanentWidget(bar)
            bar.hide()
            opening.idle.connect(bar.deleteLater)
    opening.open(paths)


def _tell(problems: Sequence[str]) -> None:
    from napari.utils.notifications import show_error

    from napari_m2dino.opening.finding import in_words

    if problems:
        show_error(in_words(problems))


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | PathLike) else [Path(one) for one in path]
