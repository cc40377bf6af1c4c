"""The window works with the dataset folder's model in use, wherever its file lies, and says when that has gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from m2dino.lineage import promote
from m2dino.network.card import bundled_checkpoint
from napari.viewer import Viewer
from pytestqt.qtbot import QtBot

from napari_m2dino.widgets.dock import M2DinoDock
from tests.gui.checkpoint import write_checkpoint
from tests.gui.conftest import KNOWN


@pytest.fixture
def open_plain(
    make_napari_viewer: Callable[..., Viewer], qtbot: QtBot, dataset: Path
) -> Iterator[Callable[[], M2DinoDock]]:
    """Return a function that opens a viewer with the dock, in which nobody has chosen a model."""
    docks = []

    def open_one() -> M2DinoDock:
        dock = M2DinoDock(make_napari_viewer(show=True))
        docks.append(dock)
        dock.viewer.window.add_dock_widget(dock, name="M2DINO")
        qtbot.waitUntil(lambda: dock.workshop.desk.checkpoint is not None, timeout=20_000)
        return dock

    yield open_one
    for dock in docks:
        dock.workshop.close()


def in_use(dataset: Path, file: Path, seed: int) -> Path:
    """Write a model, and take it into use in a dataset folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    promote(dataset, write_checkpoint(file, KNOWN, seed))
    return file


def choose_from_list(dock: M2DinoDock, file: Path) -> None:
    place = [one.path for one in dock.workshop.desk.checkpoints].index(file)
    dock.task.model.setCurrentIndex(place)
    dock.task.model.activated.emit(place)


def test_a_model_in_use_that_lies_outside_the_dataset_folder_is_at_hand(
    open_plain: Callable[[], M2DinoDock], dataset: Path, tmp_path: Path
) -> None:
    mine = in_use(dataset, tmp_path / "mine.safetensors", seed=3)
    desk = open_plain().workshop.desk
    assert desk.checkpoint.path == mine
    assert [one.path for one in desk.checkpoints].count(mine) == 1


def test_another_folders_model_in_use_is_taken_unless_a_person_has_chosen_one(
    open_plain: Callable[[], M2DinoDock], hand: Any, dataset: Path, tmp_path: Path
) -> None:
    second, third = tmp_path / "second", tmp_path / "third"
    theirs = in_use(second, second / "checkpoints" / "theirs.safetensors", seed=4)
    others = in_use(third, tmp_path / "others.safetensors", seed=5)
    dock = open_plain()
    desk = dock.workshop.desk
    assert desk.checkpoint.path == bundled_checkpoint()
    dock.workshop.move_dataset(second)
    hand.qtbot.waitUntil(lambda: desk.checkpoint.path == theirs, timeout=20_000)
    dock.workshop.move_dataset(third)
    hand.qtbot.waitUntil(lambda: desk.checkpoint.path == others, timeout=20_000)
    dock.workshop.move_dataset(second)
    hand.qtbot.waitUntil(lambda: desk.checkpoint.path == theirs, timeout=20_000)
    choose_from_list(dock, theirs)
    dock.workshop.move_dataset(third)
    hand.qtbot.waitUntil(lambda: others in [one.path for one in desk.checkpoints], timeout=20_000)
    assert desk.checkpoint.path == theirs, "chosen by a person, in this window"


def test_a_model_in_use_that_has_gone_is_told_of(
    open_plain: Callable[[], M2DinoDock], hand: Any, dataset: Path, tmp_path: Path
) -> None:
    in_use(dataset, tmp_path / "mine.safetensors", seed=3).unlink()
    dock = open_plain()
    hand.qtbot.waitUntil(lambda: "mine.safetensors, has gone" in dock.message.text(), timeout=20_000)
    assert dock.workshop.desk.checkpoint.title in dock.message.text()
