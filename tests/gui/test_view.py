"""The view of loops with and without a scale, and of the first loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from m2dino.cine.opening import open_loop
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext

from napari_m2dino.loop_layer import add_loop
from napari_m2dino.napari_compat import INCONSISTENT_UNITS, camera, draw_surfaces
from napari_m2dino.widgets.dock import M2DinoDock
from tests.cine.making import jpeg_loop, moving_square, region

FRAMES = moving_square(6, 120, 160)


def told() -> list[str]:
    return [str(note.message) for note in notification_manager.records]


def open_two(dock: M2DinoDock, qtbot: QtBot, folder: Path) -> None:
    """Open a loop in millimetres and one without a scale, and let both be drawn."""
    files = (
        jpeg_loop(folder / "mm.dcm", FRAMES, SequenceOfUltrasoundRegions=[region()]),
        jpeg_loop(folder / "px.dcm", FRAMES[:4]),
    )
    for count, path in enumerate(files, start=1):
        dock.workshop.open_loop(path)
        qtbot.waitUntil(lambda count=count: len(dock.viewer.layers) == count, timeout=20_000)  # type: ignore[misc]
        qtbot.wait(300)


@pytest.fixture(autouse=True)
def scales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No scale set by hand is known."""
    monkeypatch.setenv("M2DINO_CALIBRATIONS", str(tmp_path / "scales"))


def test_a_loop_without_a_scale_beside_one_with_a_scale_stays_in_pixels_and_is_no_news(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path
) -> None:
    open_two(dock, qtbot, tmp_path)
    millimetres, pixels = dock.viewer.layers
    assert [str(unit) for unit in millimetres.units] == ["pixel", "millimeter", "millimeter"]
    assert [str(unit) for unit in pixels.units] == ["pixel"] * 3
    for layer in (millimetres, pixels, millimetres):
        dock.viewer.layers.selection.active = layer
        qtbot.wait(200)
    assert not told()


def test_what_napari_says_of_the_units_of_other_layers_is_heard(dock: M2DinoDock, qtbot: QtBot) -> None:
    for name, unit in (("a", "nm"), ("b", "s")):
        dock.viewer.add_image(np.zeros((20, 20)), name=name, units=(unit, unit))
    qtbot.waitUntil(lambda: INCONSISTENT_UNITS in told(), timeout=10_000)


def test_with_the_dock_closed_napari_says_what_it_always_says(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    open_two(dock, qtbot, tmp_path)
    assert INCONSISTENT_UNITS not in told()
    dock.viewer.window.remove_dock_widget(dock)
    dock.viewer.add_image(np.zeros((4, 20, 20)))
    qtbot.waitUntil(lambda: INCONSISTENT_UNITS in told(), timeout=10_000)


def test_the_first_loop_fills_the_canvas_that_is_left_by_the_dock(
    dock: M2DinoDock, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer = dock.viewer
    viewer.window.resize(1400, 900)
    qtbot.wait(200)
    dock.workshop.open_loop(jpeg_loop(tmp_path / "wide.dcm", moving_square(3, 60, 300)))
    qtbot.waitUntil(lambda: dock.workshop.desk.loop is not None, timeout=20_000)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.waitUntil(lambda: 300 * camera(viewer).zoom < canvas.width(), timeout=5_000)
    assert 300 * camera(viewer).zoom > 0.8 * canvas.width()


def test_a_view_that_a_person_has_moved_is_left_alone(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    viewer = dock.viewer
    dock.workshop.open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES))
    qtbot.waitUntil(lambda: dock.workshop.desk.loop is not None, timeout=20_000)
    camera(viewer).zoom = 7.5
    qtbot.wait(500)
    assert camera(viewer).zoom == pytest.approx(7.5)


def test_a_loop_opened_over_other_pictures_keeps_their_view(dock: M2DinoDock, qtbot: QtBot, tmp_path: Path) -> None:
    viewer = dock.viewer
    viewer.add_image(np.zeros((6, 500, 500)))
    qtbot.wait(200)
    camera(viewer).zoom = 3.25
    add_loop(viewer, open_loop(jpeg_loop(tmp_path / "a.dcm", FRAMES)))
    qtbot.waitUntil(lambda: dock.workshop.desk.loop is not None, timeout=20_000)
    qtbot.wait(500)
    assert camera(viewer).zoom == pytest.approx(3.25)


def test_a_layer_is_taken_away_in_the_context_that_the_canvas_draws_in(dock: M2DinoDock) -> None:
    """In any other its buffers stay in use after they are gone, and OpenGL ends the program: see `napari_compat`."""
    viewer = dock.viewer
    layer = viewer.add_image(np.zeros((8, 8), np.uint8))
    other, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    assert other.create()
    seen: list[bool] = []
    (canvas,) = draw_surfaces(viewer)
    viewer.layers.events.removing.connect(
        lambda _: seen.append(QOpenGLContext.currentContext() is canvas.context()), position="last"
    )
    assert other.makeCurrent(surface)
    viewer.layers.remove(layer)
    assert seen == [True]
    other.doneCurrent()
