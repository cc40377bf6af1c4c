"""Pre-training of the tiny ViT without DINOv3 weights and without labels, by one of two objectives."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import torch
from m2dino.data.image_files import load_image
from m2dino.data.samples import letterboxed
from m2dino.network.checkpoint import write_tensors
from m2dino.network.config import preset
from m2dino.network.model import MEAN, STD
from m2dino.network.pretrained import make_vit
from m2dino.progress import OnProgress, ShouldStop
from torch import Tensor, nn
from torchvision.transforms import v2

from tests.benchmarks.details.distil import Distillation
from tests.benchmarks.details.masked import MaskedPictures

Objective = Literal["distilled", "masked"]
OBJECTIVES: dict[Objective, type[Distillation | MaskedPictures]] = {
    "distilled": Distillation,
    "masked": MaskedPictures,
}
PEAK_RATE = 1e-3
WARMUP = 0.05
MOMENTUM = 0.98
"""Of the running mean of what is explained."""


def pretrain(
    objective: Objective,
    images: Sequence[Path],
    out: Path,
    steps: int,
    size: int,
    batch: int,
    seed: int,
    on_progress: OnProgress,
    stop: ShouldStop,
) -> float | None:
    """Train a ViT so and write its weights in timm's layout.

    Returns
    -------
    float or None
        The share of what is to be told that is explained at the end (1 is all); None after a stop.
    """
    torch.manual_seed(seed)
    picture = Pictures(images, size, seed)
    student = make_vit(preset("tiny").backbone)
    learner = OBJECTIVES[objective](student)
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=0.05)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps, pct_start=WARMUP)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    explained = 0.0
    for step in range(steps):
        if stop():
            return None
        chosen = torch.stack([picture.draw() for _ in range(batch)])
        loss = learner((chosen.float() / 255 - mean) / std)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        rate.step()
        explained = MOMENTUM * explained + (1 - MOMENTUM) * (1 - loss.item())
        on_progress(step + 1, steps, f"{objective}, {explained:.3f} of the variance explained")
    write_tensors(
        {name: value.contiguous() for name, value in student.state_dict().items()},
        {"format": "timm", "source": learner.source},
        out,
    )
    return explained


def frames_in(folders: Iterable[Path]) -> list[Path]:
    """Return the pictures below these folders, without those in folders called masks."""
    found = (path for folder in folders for path in sorted(folder.rglob("*")) if "masks" not in path.parts)
    return [path for path in found if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp")]


class Pictures:
    """Draws parts of frames, mirrored and of other brightness.

    Parameters
    ----------
    images : sequence of Path
    size : int
        Side of what is drawn, px.
    seed : int
    """

    def __init__(self, images: Sequence[Path], size: int, seed: int) -> None:
        self.images, self.size, self.random = list(images), size, random.Random(seed)
        self.kept: dict[Path, Tensor] = {}
        self.view = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.4, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(brightness=0.3, contrast=0.3),
            ]
        )

    def draw(self) -> Tensor:
        """Return one, (3, size, size), uint8."""
        path = self.random.choice(self.images)
        if path not in self.kept:
            self.kept[path] = letterboxed(load_image(path), 2 * self.size)[0]
        drawn: Tensor = self.view(self.kept[path])
        return drawn
