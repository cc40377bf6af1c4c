"""The comparison of the network's details: pre-trained weights reach the network, and arms are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from m2dino.errors import UsageError
from m2dino.network.config import preset
from m2dino.network.pretrained import make_vit
from m2dino.progress import ignore_progress, never_stop
from m2dino.tasks import builtin_tasks
from m2dino.training.data import TrainingData
from safetensors.torch import load_file

from tests.benchmarks.details.arms import ARMS, arms_named
from tests.benchmarks.details.masked import HIDDEN, MaskedPictures
from tests.benchmarks.details.pretrain import Objective, frames_in, pretrain
from tests.benchmarks.details.tables import markdown
from tests.synthetic import SIZE


@pytest.mark.parametrize(("objective", "steps"), [("distilled", 40), ("masked", 60)])
def test_pretrained_weights_explain_something_and_start_the_network(
    objective: Objective, steps: int, data: TrainingData, tmp_path: Path
) -> None:
    file = tmp_path / "vit.safetensors"
    images = [row.image for row in data.train]
    explained = pretrain(objective, images, file, steps, SIZE, 4, 0, ignore_progress, never_stop)
    assert explained is not None
    assert explained > 0  # the mean alone explains nothing
    net, source = ARMS[f"{objective}-no-stem"].at(SIZE, {objective: file}).build([builtin_tasks()["fetal_head"]])
    assert objective in source
    assert net.stem is None
    assert torch.equal(
        net.state_dict()["backbone.vit.blocks.0.attn.qkv.weight"], load_file(file)["blocks.0.attn.qkv.weight"]
    )


def test_what_is_hidden_is_not_seen() -> None:
    learner = MaskedPictures(make_vit(preset("tiny").backbone)).eval()
    images = torch.rand(1, 3, SIZE, SIZE)
    with torch.no_grad():
        torch.manual_seed(0)
        learner(images)
        torch.manual_seed(0)
        hidden = (torch.rand(1, (SIZE // 16) ** 2) < HIDDEN).view(SIZE // 16, SIZE // 16)
        row, column = (int(place) for place in hidden.nonzero()[0])
        learner._hidden = hidden.view(1, -1)
        before = learner.student.forward_features(images)
        images[..., 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 0
        learner._hidden = hidden.view(1, -1)
        assert torch.equal(before, learner.student.forward_features(images))
        learner._hidden = None
        assert not torch.equal(before, learner.student.forward_features(images))


def test_a_stop_leaves_no_weights(data: TrainingData, tmp_path: Path) -> None:
    images = [row.image for row in data.train]
    file = tmp_path / "w.safetensors"
    assert pretrain("masked", images, file, 5, SIZE, 4, 0, ignore_progress, lambda: True) is None
    assert list(tmp_path.iterdir()) == []


def test_frames_are_found_and_masks_are_not(tmp_path: Path) -> None:
    for name in ("images/b.png", "masks/b.png", "images/a.jpg", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert frames_in([tmp_path]) == [tmp_path / "images/a.jpg", tmp_path / "images/b.png"]


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.start == "random"])
def test_an_arm_is_the_network_that_it_describes(name: str) -> None:
    arm = ARMS[name].at(SIZE, {})
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
