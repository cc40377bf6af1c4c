"""The conv stem: what it is made from, and what it may not change."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from m2dino.errors import NotACheckpointError, UsageError
from m2dino.network.checkpoint import write_tensors
from m2dino.network.config import Architecture, preset
from m2dino.network.heads import ClassificationReadings
from m2dino.network.model import M2Dino
from m2dino.network.stem import EARLY, ConvStem, features_of, fold_batch_norms
from m2dino.network.stem_weights import bundled_stem, load_stem, start_stem, write_stem
from m2dino.predictor import join_prefixes, split_prefix
from m2dino.tasks import builtin_tasks
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.network.conftest import SIZE

NAME = "mobilenetv2_100"


def with_history(body: nn.Module) -> nn.Module:
    """Give batch norms statistics that matter, as training would."""
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.5)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(std=0.3)
    return body


@pytest.mark.parametrize("name", [NAME, "efficientnet_lite0"])
def test_folding_the_norms_changes_no_map(name: str, images: Tensor) -> None:
    torch.manual_seed(0)
    body = with_history(features_of(name)).eval()
    with torch.inference_mode():
        expected = body(images)
    fold_batch_norms(body)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in body.modules())
    with torch.inference_mode():
        for folded, whole in zip(body.train()(images), expected, strict=True):
            assert torch.allclose(folded, whole, rtol=1e-3, atol=1e-3 * float(whole.abs().max()))


def test_the_answer_of_one_picture_does_not_depend_on_its_company(architecture: Architecture, images: Tensor) -> None:
    """Not in training mode either: nothing in the network keeps statistics of a batch."""
    net = M2Dino(architecture, [builtin_tasks()["fetal_head"]]).train()
    with torch.inference_mode():
        together, alone = net(images, "fetal_head")[0], net(images[:1], "fetal_head")[0]
    assert torch.allclose(together[:1], alone, atol=1e-4)


def test_beside_given_weights_the_stem_starts_without_a_say(
    architecture: Architecture, images: Tensor, tmp_path: Path
) -> None:
    """So the tokens are DINOv3's own at step 0, and the stem's part grows with training."""
    vit = timm.create_model(architecture.backbone, num_classes=0)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    net = M2Dino(architecture, [builtin_tasks()["fetal_head"]], weights=tmp_path / "vit.safetensors").eval()
    with torch.inference_mode():
        assert torch.equal(net.prefix(images).tokens, net.backbone.prefix(images).tokens)
    net(images, "fetal_head").logits.square().sum().backward()
    assert net.stem is not None
    assert all(float(layer.weight.grad.abs().sum()) > 0 for layer in net.stem.deep)  # type: ignore[union-attr, operator]


def test_without_given_weights_the_stem_speaks_from_the_start(architecture: Architecture, images: Tensor) -> None:
    net = M2Dino(architecture).eval()
    with torch.inference_mode():
        assert not torch.allclose(net.prefix(images).tokens, net.backbone.prefix(images).tokens)


def test_prefixes_with_maps_of_the_stem_split_and_join(architecture: Architecture, images: Tensor) -> None:
    net = M2Dino(architecture, [builtin_tasks()["fetal_head"]]).eval()
    with torch.inference_mode():
        prefix = net.prefix(images)
        again = join_prefixes(split_prefix(prefix))
    assert [tuple(maps.shape[-2:]) for maps in prefix.detail] == [(SIZE // s, SIZE // s) for s in (4, 8, 16, 32)]
    for first, second in zip((prefix.tokens, *prefix.taps, *prefix.detail), (again.tokens, *again.taps, *again.detail)):  # noqa: B905
        assert torch.equal(first, second)


def test_the_decoder_hears_of_every_map_of_the_stem(architecture: Architecture, images: Tensor) -> None:
    """Each alone can change the mask; without a pyramid, as in older checkpoints, only tokens hear of the deep ones."""
    for pyramid, told in ((True, 4), (False, 2)):
        net = M2Dino(architecture.with_options(pyramid=pyramid), [builtin_tasks()["fetal_head"]]).eval()
        with torch.inference_mode():
            prefix = net.prefix(images)
            before = net.from_prefix(prefix, (SIZE // 16, SIZE // 16), "fetal_head")[0]
            assert len(prefix.detail) == told
            for index in range(told):
                other = [maps + (at == index) for at, maps in enumerate(prefix.detail)]
                after = net.from_prefix(prefix._replace(detail=tuple(other)), (SIZE // 16, SIZE // 16), "fetal_head")[0]
                assert not torch.allclose(before, after)


def test_classes_are_told_from_the_deepest_map_beside_the_tokens(architecture: Architecture, images: Tensor) -> None:
    """From no other map; and from none in checkpoints of before, or where no deep map is kept."""
    grid = (SIZE // 16, SIZE // 16)
    for changes, told in (({}, [3]), ({"class_maps": False}, []), ({"pyramid": False}, []), ({"stem": ""}, [])):
        torch.manual_seed(0)
        net = M2Dino(architecture.with_options(**changes), [builtin_tasks()["breast_3cls"]]).eval()
        with torch.inference_mode():
            prefix = net.prefix(images)
            before = net.from_prefix(prefix, grid, "breast_3cls")[0]
            hears = []
            for index in range(len(prefix.detail)):
                # Not a constant, which the head's norm would take away.
                other = [maps * (1 + (at == index) * torch.rand_like(maps)) for at, maps in enumerate(prefix.detail)]
                after = net.from_prefix(prefix._replace(detail=tuple(other)), grid, "breast_3cls")[0]
                if not torch.allclose(before, after):
                    hears.append(index)
        assert hears == told, changes


def test_reading_classes_from_the_deepest_map_does_not_train_the_stem(
    architecture: Architecture, images: Tensor
) -> None:
    task = builtin_tasks()["breast_3cls"]
    net = M2Dino(architecture, [task]).train()
    output = net(images, task.id)
    assert isinstance(output, ClassificationReadings)
    of_tokens, of_the_map = output.readings.unbind(1)
    of_the_map.sum().backward(retain_graph=True)
    learns = {name for name, parameter in net.named_parameters() if parameter.grad is not None and parameter.grad.any()}
    head = f"heads.{net.key(task.id)}"
    assert learns == {f"{head}.{layer}.{part}" for layer in ("deep_norm", "deep_out") for part in ("weight", "bias")}
    of_tokens.sum().backward()
    assert net.stem is not None
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in net.stem.parameters())
    # An answer to show is one, and the mean of both.
    mean = net.eval()(images, task.id)
    assert mean[0].shape == (len(images), task.num_classes)


def test_the_presets_stem_has_its_weights_in_the_package() -> None:
    """They tell a disc from stripes, where random ones hardly do."""
    name = preset("tiny").stem
    path = bundled_stem(name)
    assert path is not None
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    pictures = torch.stack([(y.square() + x.square() < 0.4).float() * 2 - 1, torch.sin(20 * y)])

    def likeness(stem: ConvStem) -> float:
        with torch.inference_mode():
            disc, stripes = stem.body(pictures[:, None].expand(-1, 3, -1, -1))[-1].flatten(1)
        return float(torch.cosine_similarity(disc, stripes, dim=0))

    torch.manual_seed(0)
    stem = ConvStem(name, 8)
    assert likeness(stem) > 0.7
    assert "BSD" in load_stem(stem, name, path)
    assert likeness(stem) < 0.3
    assert bundled_stem("resnet18") is None


def test_a_fresh_network_takes_them_and_holds_their_early_stages(architecture: Architecture, images: Tensor) -> None:
    net = M2Dino(architecture, [builtin_tasks()["fetal_head"]])
    assert "ImageNet" in (start_stem(net) or "")
    net(images, "fetal_head").logits.square().sum().backward()
    assert net.stem is not None
    early = [parameter for name, parameter in net.stem.body.named_parameters() if name.startswith(EARLY)]
    later = [parameter for name, parameter in net.stem.body.named_parameters() if not name.startswith(EARLY)]
    assert early
    assert all(parameter.grad is None for parameter in early)
    assert all(parameter.grad is not None for parameter in later)
    assert start_stem(M2Dino(architecture.with_options(stem=""))) is None


def test_other_files_are_refused_by_name(architecture: Architecture, tmp_path: Path) -> None:
    stem = ConvStem(NAME, 8)
    path = tmp_path / "x.safetensors"
    for content in (b"", b"not a safetensors file at all"):
        path.write_bytes(content)
        with pytest.raises(NotACheckpointError, match=r"x\.safetensors"):
            load_stem(stem, NAME, path)
    write_tensors({"a": torch.zeros(1)}, {"format": "other"}, path)
    with pytest.raises(NotACheckpointError, match="not weights of the stem"):
        load_stem(stem, NAME, path)
    write_stem({"a": torch.zeros(1)}, NAME, "someone", path)
    with pytest.raises(NotACheckpointError, match="do not fit"):
        load_stem(stem, NAME, path)
    with pytest.raises(UsageError, match="not the name"):
        architecture.with_options(stem="hf_hub:someone/something")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    torch.manual_seed(1)
    stem, other = ConvStem(NAME, 8), ConvStem(NAME, 8)
    write_stem(stem.body.state_dict(), NAME, "me, MIT", tmp_path / "s.safetensors")
    assert load_stem(other, NAME, tmp_path / "s.safetensors") == "me, MIT"
    for key, value in stem.body.state_dict().items():
        assert torch.equal(other.body.state_dict()[key], value.half().float())
