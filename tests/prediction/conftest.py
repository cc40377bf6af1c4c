"""A small untrained model, and a loop of made-up pictures on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from m2dino.cine import open_loop
from m2dino.cine.loop import CineLoop
from m2dino.predictor import Model, load_model
from PIL import Image

from tests.synthetic import make_checkpoint, picture

torch.set_num_threads(1)

FRAMES = 9


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "untrained.safetensors")


@pytest.fixture
def model(checkpoint: Path) -> Model:
    return load_model(checkpoint, "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of pictures, which is a loop."""
    folder = tmp_path / "loop"
    folder.mkdir()
    for index in range(FRAMES):
        Image.fromarray(picture(index)[0]).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture
def loop(folder: Path) -> CineLoop:
    return open_loop(folder)
