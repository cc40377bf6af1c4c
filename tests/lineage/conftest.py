"""A dataset folder with a base and fine-tuned checkpoints: real files, whose cards tell of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from m2dino.lineage import checkpoint_folder
from m2dino.network.card import read_card
from m2dino.network.card_file import rewrite_card

from tests.synthetic import make_checkpoint

TASK, OTHER = "carotid_artery", "FUGC"
FALL = {
    "metric": "MRE",
    "before": 10.0,
    "after": 14.0,
    "difference": {"value": 4.0, "low": 2.5, "high": 5.5, "n": 12},
    "subjects": 4,
    "better": False,
    "harmed": True,
}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("base") / "base.safetensors")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    checkpoint_folder(folder).mkdir(parents=True)
    return folder


@pytest.fixture
def tuned(dataset: Path, base: Path) -> Callable[..., Path]:
    """Return a function that writes a checkpoint as fine-tuning does: `harmed`, `doubts`, and what it came from."""

    def make(name: str, seed: int, parent: Path = base, task: str = TASK, **told: Any) -> Path:
        path = make_checkpoint(checkpoint_folder(dataset) / f"{name}.safetensors", seed=seed)
        training = {"form": "isolated", "task": task, "harmed": [], "unmeasured": [], "doubts": [], "changes": {}}
        card = replace(read_card(path), parent_id=read_card(parent).id, training={**training, **told})
        rewrite_card(path, card)
        return path

    return make
