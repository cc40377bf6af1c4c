"""The first part of a run on smaller images: most is learnt there, at about half the cost of a step.

Progressive resizing, as in EfficientNetV2 (arXiv 2104.00298). The ViT's positions are relative to the image's sides, so
nothing in the network depends on the size; targets in [0, 1] do not either.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SHARE_OF_SIDE = 0.75
SMALLEST = 32


def coarse_side(side: int) -> int:
    """Return the side of the smaller images, px: three quarters, a multiple of 16."""
    return max(min(side, SMALLEST), 16 * round(side * SHARE_OF_SIDE / 16))


def shrunk(images: Tensor, targets: Sequence[Tensor], side: int) -> tuple[Tensor, list[Tensor]]:
    """Return images (B, 3, S, S) uint8 at `side`, and their targets; masks (B, S, S) shrink with them."""
    size, whole = (side, side), images.shape[-1]
    small = F.interpolate(images.float(), size=size, mode="bilinear", antialias=True, align_corners=False)

    def place(target: Tensor) -> Tensor:
        if target.ndim != 3 or target.is_floating_point() or target.shape[-1] != whole:
            return target
        return F.interpolate(target[:, None].float(), size=size, mode="nearest-exact")[:, 0].to(target.dtype)

    return small.round().clamp(0, 255).to(torch.uint8), [place(target) for target in targets]
