"""How long does the window stand still while a person paints, decides and carries, with every change saved at once?

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_gaps.py [FRAMES] [--task carotid_artery] [--strokes 40] [--where]

on a screen, real or virtual. FRAMES is anything that opens as a loop; without it, it is the sample loop of the carotid
artery. The real window with the dock is driven by mouse events on the canvas, by keys and by clicks. Printed is, for
each phase, what turns of the event loop took on the wall and how much of that was the GUI thread's own time: the rest
is waiting for a processor that other work has, or for Python's lock. `--where` also says what long turns were doing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from qtpy.QtCore import Qt

from napari_m2dino.tour.hand import Hand
from tests.benchmarks.session.opened import open_session
from tests.benchmarks.session.pen import Pen
from tests.benchmarks.session.watch import HEAD, Watch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", nargs="?", type=Path)
    parser.add_argument("--task", default="carotid_artery")
    parser.add_argument("--strokes", type=int, default=40)
    parser.add_argument("--where", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["M2DINO_DATASET"] = str(Path(name) / "dataset")
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_DATA_HOME"] = os.environ["XDG_STATE_HOME"] = name
        measure(given.frames, given.task, given.strokes, given.where)
        sys.stdout.flush()
        os._exit(0)  # the end of a window is not what is measured


def measure(frames: Path | None, task: str, strokes: int, where: bool) -> None:
    """Go through the phases and print."""
    watch = Watch(where)
    viewer, dock = open_session(watch, frames, task, (1480, 940))
    workshop = dock.workshop
    desk, autosave = workshop.desk, workshop.autosave
    pen = Pen(Hand(viewer, dock), watch)
    watch.follow_drawing(dock.window())
    watch.pause(2)

    watch.begin("predict all frames")
    pen.click(dock.predict.all_frames)
    watch.wait(lambda: not workshop.predicting.running, "the predictions")
    watch.pause(1)

    chance, layer = np.random.default_rng(7), desk.result.layer
    height, width = desk.loop.height, desk.loop.width
    viewer.layers.selection.active = layer
    layer.brush_size = 24

    def paint(phase: str, count: int) -> None:
        watch.begin(phase)
        viewer.layers.selection.active.mode = "paint"
        for _ in range(count):
            y, x = chance.uniform(0.3, 0.7, 2) * (height, width)
            way = np.cumsum(chance.uniform(-8, 8, (12, 2)), axis=0)
            pen.stroke([(y + dy, x + dx) for dy, dx in way])
            watch.pause(0.12)  # longer than it takes to look at what was painted
        watch.wait(lambda: autosave.unkept == 0, "all to be kept")

    paint("paint, first stroke", 1)
    for _ in range(4):
        paint("paint", strokes // 4)
        bare = viewer.add_labels(np.zeros(layer.data.shape, np.uint8), opacity=0.45)
        bare.brush_size, layer.visible = 24, False
        paint("paint, a layer of napari's own", strokes // 4)
        viewer.layers.remove(bare)
        layer.visible, viewer.layers.selection.active = True, layer
    for phase, count in (("accept, first", 1), ("accept", 8)):
        watch.begin(phase)
        for _ in range(count):
            pen.press(Qt.Key.Key_A)
            watch.pause(0.2)
    paint("paint after accepting", strokes // 2)
    for phase in ("carry, first", "carry"):
        watch.begin(phase)
        pen.press(Qt.Key.Key_G)
        watch.wait(lambda: not workshop.hand.carrying.errand.running, "the end of carrying")
        watch.pause(0.5)
        desk.go_to(len(desk.loop) - 10)
        paint(f"paint after {phase}", 2)
    for phase in ("undo", "redo"):
        watch.begin(phase)
        for _ in range(5):
            pen.click(dock.review.undo if phase == "undo" else dock.review.redo)
            watch.pause(0.2)
    rest = dock.review.together
    rest.fill()
    watch.begin("accept the rest together")
    pen.choose(rest.menu.actions()[2])  # the first offer below the head and its line: the most frames
    watch.wait(lambda: autosave.unkept == 0, "all to be kept")
    watch.pause(0.5)
    watch.begin("undo of that")
    pen.click(dock.review.undo)
    watch.pause(0.5)
    watch.wait(lambda: autosave.unkept == 0, "all to be kept")
    watch.begin("")
    print(f"{len(desk.loop)} frames of {height} x {width}; milliseconds")
    print(HEAD)
    measured = {phase: turns for phase, turns in watch.phases.items() if turns.wall}
    for phase, turns in measured.items():
        print(f"| {phase} | {turns.row()} |")
    if where:
        for phase, turns in measured.items():
            print(f"\n{phase}: {len(turns.imported)} modules imported {' '.join(turns.imported)[:300]}")
            for own, doing in sorted(turns.doing, key=lambda one: -one[0])[:3]:
                print(f"\n{phase}: a turn of {1e3 * own:.0f} ms of its own but for drawing")
                for place, count in doing.most_common(8):
                    print(f"  {count:4d} x {place}")


if __name__ == "__main__":
    main()
