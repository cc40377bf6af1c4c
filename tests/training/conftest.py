"""A made-up data set, and a network small enough to train within a test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from m2dino.network.config import Architecture
from m2dino.tasks import builtin_tasks
from m2dino.training.data import TrainingData, gather

from tests.synthetic import SMALL, make_checkpoint, make_root

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small() -> Architecture:
    return SMALL


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("data") / "root")


@pytest.fixture(scope="session")
def data(root: Path) -> TrainingData:
    return gather([root], builtin_tasks())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint that knows a task of each type."""
    return make_checkpoint(tmp_path_factory.mktemp("base") / "base.safetensors")
