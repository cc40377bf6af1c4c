"""A tiny network on small images, one thread: the rest of the machine may be busy."""

from __future__ import annotations

import pytest
import torch
from m2dino.network.config import Architecture, preset
from m2dino.network.model import M2Dino
from m2dino.tasks import builtin_tasks

torch.set_num_threads(1)

SIZE = 64


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return preset("tiny").with_options(image_size=SIZE)


@pytest.fixture(scope="session")
def all_tasks(architecture: Architecture) -> M2Dino:
    """A network of all 27 tasks; tests that change it take a copy."""
    torch.manual_seed(0)
    return M2Dino(architecture, builtin_tasks()).eval()


@pytest.fixture
def images() -> torch.Tensor:
    """Two normalised images."""
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
