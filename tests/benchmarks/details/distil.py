"""Pre-training of the tiny ViT without DINOv3 weights: it learns to tell MobileNetV2's deep maps of ultrasound frames.

The teacher is the network whose ImageNet weights (torchvision, BSD 3-Clause) come with this package as the stem. The
student sees the same picture; a linear layer on its patch tokens answers the teacher's maps at strides 16 and 32, each
channel standardised over the batch, by squared error (as in FitNets, arXiv 1412.6550). No label is used.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from m2dino.data.image_files import load_image
from m2dino.data.rows import Row
from m2dino.data.samples import letterboxed
from m2dino.network.checkpoint import write_tensors
from m2dino.network.config import preset
from m2dino.network.model import MEAN, STD
from m2dino.network.pretrained import make_vit
from m2dino.network.stem import ConvStem
from m2dino.network.stem_weights import bundled_stem, load_stem
from m2dino.progress import OnProgress, ShouldStop
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

PEAK_RATE = 1e-3
WARMUP = 0.05
MOMENTUM = 0.98
"""Of the running mean of what is explained."""


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


def distil(
    rows: list[Row], out: Path, steps: int, size: int, batch: int, seed: int, on_progress: OnProgress, stop: ShouldStop
) -> float | None:
    """Train a ViT so and write its weights in timm's layout.

    Returns
    -------
    float or None
        The share of the teacher's variance that is explained at the end (1 is all); None after a stop.
    """
    torch.manual_seed(seed)
    draw = random.Random(seed)
    images = list(dict.fromkeys(row.image for row in rows))
    kept: dict[Path, Tensor] = {}
    view = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.4, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.3, contrast=0.3),
        ]
    )

    def picture() -> Tensor:
        path = draw.choice(images)
        if path not in kept:
            kept[path] = letterboxed(load_image(path), 2 * size)[0]
        drawn: Tensor = view(kept[path])
        return drawn

    teacher, student = Teacher().eval(), make_vit(preset("tiny").backbone)
    probe = nn.Linear(int(student.num_features), teacher.channels)
    parameters = [*student.parameters(), *probe.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=0.05)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps, pct_start=WARMUP)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    explained = 0.0
    for step in range(steps):
        if stop():
            return None
        chosen = torch.stack([picture() for _ in range(batch)])
        normalised = (chosen.float() / 255 - mean) / std
        target = teacher(normalised)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = student.forward_features(normalised)
            answer = probe(tokens[:, int(student.num_prefix_tokens) :])
        loss = F.mse_loss(answer.float(), target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        rate.step()
        explained = MOMENTUM * explained + (1 - MOMENTUM) * (1 - loss.item())
        on_progress(step + 1, steps, f"distilling, {explained:.3f} of the variance explained")
    write_tensors(
        {name: value.contiguous() for name, value in student.state_dict().items()},
        {"format": "timm", "source": "distilled from torchvision's MobileNetV2 (BSD 3-Clause)"},
        out,
    )
    return explained
