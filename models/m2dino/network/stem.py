"""A convolutional network beside the ViT: fine borders for the decoder, ImageNet's features for a ViT without weights.

A ViT from random weights learns little from hundreds of images; a small convolutional network that has seen ImageNet
learns a lot. So its deep maps are added to the patch embeddings, and its shallow ones go to the dense decoder. All of
it is task-free and lies before the first mixture, so it is computed once per frame and cached with the prefix.
"""

from __future__ import annotations

from typing import cast

import timm
import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.models import FeatureInfo
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

STRIDES = (4, 8, 16, 32)
EARLY = ("conv_stem.", "bn1.", "blocks.0.", "blocks.1.")
"""Parts of timm's mobile networks up to stride 4."""


def features_of(name: str) -> nn.Module:
    """Return the part of a timm network that gives its maps at the four strides, with random weights and batch norms.

    Raises
    ------
    ValueError
        The network has no such maps.
    """
    body: nn.Module = timm.create_model(name, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
    if tuple(cast("FeatureInfo", body.feature_info).reduction()) != STRIDES:
        raise ValueError(f"{name} has no maps at the strides {STRIDES}")
    return body


class ConvStem(nn.Module):
    """The stages of a timm network, without batch norm.

    Batches are small and of few tasks each, so batch statistics would be unsound: the norms' own are folded into the
    convolutions. Built with random weights here; `stem_weights` brings trained ones.

    Parameters
    ----------
    name : str
        A network of timm that gives features at strides 4, 8, 16 and 32.
    dim : int
        Channels of a ViT token.
    """

    def __init__(self, name: str, dim: int) -> None:
        super().__init__()
        body = features_of(name)
        self.channels = tuple(cast("FeatureInfo", body.feature_info).channels())
        fold_batch_norms(body)
        self.body = body
        self.deep = nn.ModuleList(nn.Conv2d(count, dim, 1, bias=False) for count in self.channels[2:])

    def add_nothing(self) -> None:
        """Set what is added to the patches to zero, until training changes it."""
        for layer in self.deep:
            nn.init.zeros_(cast("nn.Conv2d", layer).weight)

    def freeze_early(self) -> None:
        """Keep the stages up to stride 4 as they are: edges are edges, and their gradients are the stem's dearest."""
        for name, parameter in self.body.named_parameters():
            if name.startswith(EARLY):
                parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Normalised images (B, 3, H, W) -> maps at all strides, and what to add to the patches (B, h * w, dim)."""
        fine, middle, deep, deepest = self.body(images)
        added = self.deep[0](deep)
        coarse = self.deep[1](deepest)
        added = added + F.interpolate(coarse, size=added.shape[-2:], mode="bilinear", align_corners=False)
        return (fine, middle, deep, deepest), added.flatten(2).transpose(1, 2)


@torch.no_grad()
def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place; the maps of evaluation mode stay the same."""
    previous: nn.Conv2d | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            previous = child
        elif isinstance(child, nn.BatchNorm2d) and previous is not None:
            assert child.running_mean is not None
            assert child.running_var is not None
            mean, variance = child.running_mean, child.running_var
            weight, bias = fuse_conv_bn_weights(
                previous.weight, previous.bias, mean, variance, child.eps, child.weight, child.bias
            )
            # A convolution without bias gets one here, and it is to learn like the norm's own.
            previous.weight, previous.bias = nn.Parameter(weight), nn.Parameter(bias)
            rest = nn.Sequential(child.drop, child.act) if isinstance(child, BatchNormAct2d) else nn.Identity()
            setattr(module, name, cast("nn.Module", rest))
            previous = None
        else:
            fold_batch_norms(child)
