"""How long the window stands still while a folder of loops opens, and how much of that is napari's own doing.

`python tests/benchmarks/bench_opening.py [LOOPS]`, on a screen, real or virtual. The longest gaps of the event loop
from the press on Open to the last layer, what each call of napari's layer list took, and Python's own collections of
garbage, which fall into them.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from napari import Viewer
from napari.components.layerlist import LayerList
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_m2dino.widgets.dock import M2DinoDock
from napari_m2dino.widgets.loop_chooser import LoopChooser
from tests.cine.making import jpeg_loop, moving_square


def spin(seconds: float) -> None:
    """Let the event loop run."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()


def make(folder: Path, count: int) -> None:
    """Write loops that all differ."""
    for k in range(count):
        frames = moving_square(20 + k, 480, 640)
        frames[:, -20:, -20:] = 8 * k % 255
        jpeg_loop(folder / f"IM{k:03}", frames, FrameTime=40.0)


def main(count: int) -> None:
    """Open and print."""
    napari_took: list[float] = []
    collected: list[float] = []
    began = [0.0]
    insert = LayerList.insert

    def timed(self: LayerList, index: int, layer: object) -> None:
        start = time.perf_counter()
        insert(self, index, layer)
        napari_took.append(time.perf_counter() - start)

    def collecting(phase: str, _info: object) -> None:
        if phase == "start":
            began[0] = time.perf_counter()
        else:
            collected.append(time.perf_counter() - began[0])

    LayerList.insert = timed
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), count)
        viewer = Viewer(show=True)
        dock = M2DinoDock(viewer, Path(name) / "dataset")
        viewer.window.add_dock_widget(dock, name="M2DINO")
        spin(6)  # the model is loaded
        opening = dock.workshop.opening
        dock.workshop.open_loop(Path(name))
        while not isinstance(opening.dialog, LoopChooser):
            spin(0.01)
        dialog = opening.dialog
        spin(3)
        ticks: list[float] = []
        idle: list[None] = []
        opening.idle.connect(lambda: idle.append(None))
        clock = QTimer()
        clock.timeout.connect(lambda: ticks.append(time.perf_counter()))
        clock.start(0)
        gc.callbacks.append(collecting)
        dialog.all.click()
        dialog.accept()
        while not idle:
            QApplication.processEvents()
        spin(0.3)
        gaps = np.sort(np.diff(ticks))[::-1] * 1000
        print(f"{len(viewer.layers)} loops in {ticks[-1] - ticks[0] - 0.3:.1f} s")
        print("longest gaps of the event loop, ms:", ", ".join(f"{gap:.0f}" for gap in gaps[:5]))
        own = np.array(napari_took) * 1000
        print(f"napari's own adding, ms a layer: first {own[0]:.0f}, median {np.median(own):.0f}, most {own.max():.0f}")
        print("longest collections of garbage, ms:", ", ".join(f"{1000 * one:.0f}" for one in sorted(collected)[-3:]))
    sys.stdout.flush()
    os._exit(0)  # the end of a window is not what is measured


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
