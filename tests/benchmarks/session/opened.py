"""The real window with a loop on the desk, a model ready and a task chosen, while a watch keeps account."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_m2dino.launch import open_window
from tests.benchmarks.session.watch import Watch

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_m2dino.widgets.dock import M2DinoDock


def open_session(watch: Watch, frames: Path | None, task: str, size: tuple[int, int]) -> tuple[Viewer, M2DinoDock]:
    """Open a window of `size` px and in it anything that opens as a loop; None: the sample loop."""
    viewer, dock = open_window()
    workshop, desk = dock.workshop, dock.workshop.desk
    dock.window().resize(*size)
    watch.begin("open")
    watch.pause(1)
    if frames is None:
        workshop.open_sample()
    else:
        workshop.open_loop(frames)
    watch.wait(lambda: desk.loop is not None, "the loop")
    watch.wait(lambda: bool(workshop.predicting.device), "the model")
    desk.choose_task(desk.tasks[task])
    return viewer, dock
