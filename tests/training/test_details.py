"""The comparison of the network's details: distilled weights reach the network, and arms are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from m2dino.errors import UsageError
from m2dino.progress import ignore_progress, never_stop
from m2dino.tasks import builtin_tasks
from m2dino.training.data import TrainingData
from safetensors.torch import load_file

from tests.benchmarks.details.arms import ARMS, arms_named
from tests.benchmarks.details.distil import distil
from tests.benchmarks.details.tables import markdown
from tests.synthetic import SIZE


def test_distilled_weights_explain_the_teacher_and_start_the_network(data: TrainingData, tmp_path: Path) -> None:
    file = tmp_path / "distilled.safetensors"
    explained = distil(data.train, file, 40, SIZE, 4, 0, ignore_progress, never_stop)
    assert explained is not None
    assert explained > 0  # the mean alone explains nothing
    net, source = ARMS["distilled-no-stem"].at(SIZE, file).build([builtin_tasks()["fetal_head"]])
    assert "distilled" in source
    assert net.stem is None
    assert torch.equal(
        net.state_dict()["backbone.vit.blocks.0.attn.qkv.weight"], load_file(file)["blocks.0.attn.qkv.weight"]
    )


def test_a_stop_leaves_no_weights(data: TrainingData, tmp_path: Path) -> None:
    assert distil(data.train, tmp_path / "w.safetensors", 5, SIZE, 4, 0, ignore_progress, lambda: True) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if not arm.distilled])
def test_an_arm_is_the_network_that_it_describes(name: str, tmp_path: Path) -> None:
    arm = ARMS[name].at(SIZE, tmp_path / "none")
    net, source = arm.build([builtin_tasks()["fetal_head"]])
    told = arm.describe()
    assert (net.stem is None) == (told["stem"] == "none")
    assert ("ImageNet" in source or "IMAGENET" in source) == (told["stem"] == "imagenet")
    assert net.architecture.top_k == told["top_k"]
    assert net.architecture.num_experts == told["experts"]


def test_unknown_arms_are_named() -> None:
    with pytest.raises(UsageError, match="no-such"):
        arms_named(["no-such"])
    assert [arm.name for arm in arms_named([])] == list(ARMS)


def test_the_table_says_mean_and_spread_of_seeds() -> None:
    runs = [
        {
            "name": f"soft-{seed}",
            "parameters": 1e6,
            "steps": 9,
            "seconds": 5,
            "figures": {"mean": {"detection": {"IoU": iou}}},
        }
        for seed, iou in enumerate((0.5, 0.7))
    ]
    assert "| soft | 1.0 | 9 | 2 | 5 | 0.600 (0.500 to 0.700) |" in markdown(runs, list(ARMS))
