"""Masked pictures: the tiny ViT learns to paint the patches that are hidden from it. No label, no other network.

As SimMIM does (arXiv 2111.09886): hidden patches become one learnt token, the rest is seen, one linear layer paints.
What is painted is each patch with mean 0 and deviation 1, as MAE found better (arXiv 2111.06377, table 1d).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 0.6
"""Share of the patches; SimMIM's default."""


class MaskedPictures(nn.Module):
    """What is learnt: the share of the hidden pixels' variance that is left unexplained."""

    source = "self-supervised on masked ultrasound frames"

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student, self.first = student, int(student.num_prefix_tokens)
        self.patch = int(student.patch_embed.patch_size[0])
        width = int(student.embed_dim)
        self.token = nn.Parameter(torch.zeros(width))
        self.paint = nn.Linear(width, 3 * self.patch**2)
        self._hidden: Tensor | None = None
        # Between the patches and the position: what is hidden still has a place.
        student.patch_embed.register_forward_hook(self._hide)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> mean squared error over what is hidden, a scalar; 1 is no knowledge."""
        target = patches(images, self.patch)
        self._hidden = torch.rand(target.shape[:2]) < HIDDEN
        with torch.autocast("cpu", torch.bfloat16):
            answer = self.paint(self.student.forward_features(images)[:, self.first :])
        hidden, self._hidden = self._hidden, None
        return F.mse_loss(answer.float()[hidden], target[hidden])

    def _hide(self, embed: nn.Module, given: tuple[Tensor, ...], tokens: Tensor) -> Tensor | None:
        if self._hidden is None:
            return None
        return torch.where(self._hidden.view(*tokens.shape[:-1], 1), self.token.to(tokens.dtype), tokens)


def patches(images: Tensor, side: int) -> Tensor:
    """Images (B, 3, H, W) -> (B, h * w, 3 * side**2), each patch of mean 0 and deviation 1; an even one stays 0."""
    flat = F.unfold(images, side, stride=side).transpose(1, 2)
    return (flat - flat.mean(-1, keepdim=True)) / (flat.std(-1, keepdim=True) + 1e-2)
