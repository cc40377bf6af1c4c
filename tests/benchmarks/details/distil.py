"""Distillation: the tiny ViT learns to tell MobileNetV2's deep maps of ultrasound frames.

The teacher is the network whose ImageNet weights (torchvision, BSD 3-Clause) come with this package as the stem. The
student sees the same picture; a linear layer on its patch tokens answers the teacher's maps at strides 16 and 32, each
channel standardised over the batch, by squared error (as in FitNets, arXiv 1412.6550). No label is used.
"""

from __future__ import annotations

import torch
from m2dino.network.config import preset
from m2dino.network.stem import ConvStem
from m2dino.network.stem_weights import bundled_stem, load_stem
from torch import Tensor, nn
from torch.nn import functional as F


class Teacher(nn.Module):
    """MobileNetV2's two deep maps on the ViT's grid, standardised."""

    def __init__(self) -> None:
        super().__init__()
        name = preset("tiny").stem
        path = bundled_stem(name)
        assert path is not None, "the stem's weights come with the package"
        stem = ConvStem(name, 8)
        load_stem(stem, name, path)
        self.body, self.channels = stem.body, sum(stem.channels[2:])

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> (B, h * w, C), each channel of mean 0 and deviation 1 over the batch."""
        *_, deep, deepest = self.body(images)
        deepest = F.interpolate(deepest, size=deep.shape[-2:], mode="bilinear", align_corners=False)
        maps = torch.cat((deep, deepest), 1).flatten(2).transpose(1, 2).float()
        flat = maps.flatten(0, 1)
        standard: Tensor = (maps - flat.mean(0)) / (flat.std(0) + 1e-4)
        return standard


class Distillation(nn.Module):
    """What is learnt: the share of the teacher's maps that is left unexplained."""

    source = "distilled from torchvision's MobileNetV2 (BSD 3-Clause)"

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student, self.teacher = student, Teacher().eval().requires_grad_(False)
        self.first = int(student.num_prefix_tokens)
        self.probe = nn.Linear(int(student.num_features), self.teacher.channels)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> mean squared error, a scalar; 1 is what the mean alone leaves."""
        target = self.teacher(images)
        with torch.autocast("cpu", torch.bfloat16):
            answer = self.probe(self.student.forward_features(images)[:, self.first :])
        return F.mse_loss(answer.float(), target)
