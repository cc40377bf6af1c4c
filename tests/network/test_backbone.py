"""The backbone with mixtures against timm's own walk through the plain one."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import timm
import torch
from m2dino.errors import NotACheckpointError
from m2dino.network.backbone import Backbone
from m2dino.network.config import Architecture
from m2dino.network.model import M2Dino
from m2dino.tasks import builtin_tasks
from safetensors.torch import save_file
from timm.models.eva import Eva
from torch import Tensor

HW = ((64, 64), (48, 96))


@pytest.fixture(scope="module")
def plain(architecture: Architecture) -> Eva:
    """A plain ViT of timm with weights that matter: layer scales of about 0.5 instead of 1e-5."""
    torch.manual_seed(3)
    vit = cast(Eva, timm.create_model(architecture.backbone, num_classes=0))
    with torch.no_grad():
        for name, parameter in vit.named_parameters():
            if "gamma" in name:
                parameter.uniform_(0.3, 0.7)
            elif name.endswith("bias"):
                parameter.normal_(std=0.02)
    return vit.eval()


@pytest.fixture(scope="module")
def weights(plain: Eva, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights in a file, as timm lays them out."""
    path = tmp_path_factory.mktemp("weights") / "plain.safetensors"
    save_file(plain.state_dict(), path)
    return path


def tokens_of(backbone: Backbone, images: Tensor, task: Tensor) -> Tensor:
    grid = (images.shape[-2] // 16, images.shape[-1] // 16)
    return backbone.suffix(backbone.prefix(images), grid, task, "task_x")[0]


@pytest.mark.parametrize("hw", HW)
@pytest.mark.parametrize(("experts", "top_k"), [(4, 0), (4, 4), (4, 2), (3, 1), (1, 0)])
def test_from_given_weights_the_network_starts_as_the_plain_one(
    plain: Eva, weights: Path, architecture: Architecture, experts: int, top_k: int, hw: tuple[int, int]
) -> None:
    """Experts are copies and gates sum to 1, so the mixture, whole or renormalised, is the MLP it replaced."""
    backbone = Backbone(architecture.with_options(num_experts=experts, top_k=top_k), weights=weights).eval()
    images = torch.randn(2, 3, *hw)
    with torch.inference_mode():
        expected = plain.forward_features(images)
        for task in (torch.randn(architecture.task_dim), 100 * torch.randn(architecture.task_dim)):
            found = tokens_of(backbone, images, task)
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    # A comparison that would also hold for an identity says nothing.
    embedded = backbone.prefix(images).tokens
    assert (expected - embedded).abs().max() > 0.5


def test_taps_are_the_blocks_outputs_of_timm(plain: Eva, weights: Path, architecture: Architecture) -> None:
    backbone = Backbone(architecture, weights=weights).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = plain.forward_intermediates(
            images, indices=list(backbone.tap_indices), intermediates_only=True, output_fmt="NLC"
        )
        taps = backbone.suffix(backbone.prefix(images), (4, 4), torch.zeros(architecture.task_dim), "task_x")[1]
    assert backbone.tap_indices == (2, 5, 8, 11)
    for found, wanted in zip(taps, expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


def test_the_layer_scale_is_the_files_and_from_random_weights_a_tenth(
    plain: Eva, weights: Path, architecture: Architecture
) -> None:
    given, drawn = Backbone(architecture, weights=weights), Backbone(architecture)
    wanted = [block.gamma_2 for block in plain.blocks[architecture.moe_from :]]
    for block, scale in zip(given.mixtures, wanted, strict=True):
        assert torch.equal(cast(Tensor, block.gamma_2), cast(Tensor, scale))
    for block in drawn.mixtures:
        assert torch.allclose(cast(Tensor, block.gamma_2), torch.tensor(0.1))


def test_from_random_weights_experts_differ(architecture: Architecture) -> None:
    """Equal copies would get equal gradients, and stay copies."""
    for block in Backbone(architecture).mixtures:
        first, *others = block.moe.fc1.weight.split(block.moe.hidden)
        assert all((first - other).abs().max() > 0.01 for other in others)


@pytest.mark.parametrize("kind", ["missing", "text", "cut short", "another network", "another size", "a pickle"])
def test_a_wrong_weights_file_is_named(kind: str, weights: Path, architecture: Architecture, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    if kind == "text":
        path.write_text("not weights at all")
    elif kind == "cut short":
        path.write_bytes(weights.read_bytes()[:-1000])
    elif kind == "another network":
        save_file({"layer.weight": torch.zeros(3, 3)}, path)
    elif kind == "another size":
        save_file(timm.create_model("vit_small_patch16_dinov3", num_classes=0).state_dict(), path)
    elif kind == "a pickle":
        torch.save(timm.create_model(architecture.backbone, num_classes=0).state_dict(), path)
    with pytest.raises(NotACheckpointError) as caught:
        M2Dino(architecture, builtin_tasks(), weights=path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
