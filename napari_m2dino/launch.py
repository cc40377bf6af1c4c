"""`python -m napari_m2dino.launch [LOOP …]`: napari with the sample loop, or your own, and the M2DINO dock."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_m2dino.widgets.dock import M2DinoDock


def open_window(show: bool = True) -> tuple[Viewer, M2DinoDock]:
    """Open a viewer with the dock."""
    from napari import Viewer

    viewer = Viewer(title="napari · M2DINO", show=show)
    frame, dock = viewer.window.add_plugin_dock_widget("napari-m2dino", "M2DINO")
    frame.show()
    return viewer, dock


def main() -> None:
    """Run napari until its window is closed."""
    parser = argparse.ArgumentParser(prog="python -m napari_m2dino.launch", description=__doc__)
    parser.add_argument("loops", nargs="*", type=Path, help="loops to open in place of the sample")
    arguments = parser.parse_args()
    import napari

    _, dock = open_window()
    if arguments.loops:
        dock.workshop.open_loops(arguments.loops)
    else:
        dock.workshop.open_sample()
    napari.run()


if __name__ == "__main__":
    main()
