"""A real window with the dock, and a real checkpoint: small and untrained, for these tests are about the handling."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QPushButton

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["NAPARI_ASYNC"] = "0"

from napari.utils.notifications import notification_manager
from napari.viewer import Viewer
from pydicom.examples import get_path

from napari_m2dino.widgets.dock import M2DinoDock
from tests.gui.checkpoint import write_checkpoint

KNOWN = ("carotid_artery", "breast_2cls", "thyroid_nodule_det", "FUGC")
"""Tasks of the test checkpoint: one of each type."""


class Hand:
    """A person's hand: clicks real buttons and waits for what comes of it."""

    def __init__(self, qtbot: QtBot) -> None:
        self.qtbot = qtbot

    def click(self, button: QPushButton) -> None:
        """Click a button, which must be there and enabled."""
        assert button.isEnabled(), f"{button.text()!r} cannot be pressed"
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def predict_all(self, dock: M2DinoDock) -> None:
        """Press "All frames" and wait for the end."""
        self.click(dock.predict.all_frames)
        assert dock.workshop.predicting.running
        self.qtbot.waitUntil(lambda: not dock.workshop.predicting.running, timeout=60_000)

    def paint(self, dock: M2DinoDock, frame: int, y: int, x: int, label: int = 1, size: int = 20) -> None:
        """Paint one dab on the current Labels layer; some of it must be new, or nothing would be changed."""
        dock.workshop.desk.go_to(frame)
        layer = dock.workshop.desk.result.layer
        before = layer.data[frame].copy()
        layer.brush_size = size
        layer.paint((frame, y, x), label)
        assert not np.array_equal(layer.data[frame], before), (
            f"all of the dab on frame {frame} has label {label} already"
        )
        self.qtbot.wait(100)

    def choose_form(self, dock: M2DinoDock, form: str) -> None:
        """Choose a form of fine-tuning from the list."""
        forms = dock.improve.form
        forms.setCurrentIndex(forms.findData(form))
        forms.activated.emit(forms.currentIndex())

    def all_saved(self, dock: M2DinoDock) -> None:
        """Wait until everything decided is on the disk."""
        autosave, done = dock.workshop.autosave, threading.Event()
        self.qtbot.waitUntil(lambda: autosave.waiting == 0, timeout=20_000)
        autosave.after_all(done.set)
        self.qtbot.waitUntil(done.is_set, timeout=10_000)
        self.qtbot.wait(50)  # what the writer thread said last is heard


@pytest.fixture(autouse=True)
def nothing_told_before() -> None:
    """What napari has told a person belongs to one test: napari keeps it for as long as the program runs."""
    notification_manager.records.clear()


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what answers the next folder choosers: that dialog is the system's own."""

    def answer(folder: Path) -> None:
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args, **_options: str(folder))

    return answer


@pytest.fixture
def hand(qtbot: QtBot) -> Hand:
    """A hand that clicks."""
    return Hand(qtbot)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny preset that knows one task of each type, with random weights and small images."""
    return write_checkpoint(tmp_path_factory.mktemp("model") / "test.safetensors", KNOWN, seed=0)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that this test saves to."""
    folder = tmp_path / "dataset"
    monkeypatch.setenv("M2DINO_DATASET", str(folder))
    return folder


@pytest.fixture
def open_dock(
    make_napari_viewer: Callable[..., Viewer], qtbot: QtBot, dataset: Path, checkpoint: Path
) -> Iterator[Callable[[], M2DinoDock]]:
    """Return a function that opens a viewer with the dock, the test checkpoint chosen and loaded."""
    docks = []

    def open_one() -> M2DinoDock:
        viewer = make_napari_viewer(show=True)
        dock = M2DinoDock(viewer)
        docks.append(dock)
        viewer.window.add_dock_widget(dock, name="M2DINO")
        desk = dock.workshop.desk
        dock.workshop.add_checkpoint(checkpoint)
        qtbot.waitUntil(lambda: desk.checkpoint is not None and desk.checkpoint.path == checkpoint, timeout=20_000)
        qtbot.waitUntil(lambda: bool(dock.workshop.predicting.device), timeout=60_000)
        return dock

    yield open_one
    for dock in docks:
        dock.workshop.close()


@pytest.fixture
def dock(open_dock: Callable[[], M2DinoDock]) -> M2DinoDock:
    """A dock in a viewer, the model loaded, no loop open."""
    return open_dock()


@pytest.fixture
def echo_dock(dock: M2DinoDock, qtbot: QtBot) -> M2DinoDock:
    """A dock with a real DICOM cine of 30 frames open and the segmentation task chosen."""
    path = get_path("ybr_color")
    assert path is not None
    dock.workshop.open_loop(path)
    qtbot.waitUntil(lambda: dock.workshop.desk.loop is not None, timeout=10_000)
    dock.workshop.desk.choose_task(dock.workshop.desk.tasks["carotid_artery"])
    return dock
