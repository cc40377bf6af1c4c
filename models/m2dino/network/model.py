"""The whole network: shared encoder, shared decoder, and what each task owns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from m2dino.errors import UntrainedTaskError
from m2dino.network.backbone import Backbone, Prefix
from m2dino.network.config import Architecture
from m2dino.network.decoder import Decoder, DetailBranch
from m2dino.network.heads import Features, Output, make_head
from m2dino.network.stem import ConvStem
from m2dino.tasks import Task

# ImageNet statistics, as DINOv3 was trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class M2Dino(nn.Module):
    """One encoder for all tasks; a task owns its embedding, its head, and any private experts.

    Parameters
    ----------
    architecture : Architecture
    tasks : iterable of Task
    pretrained : bool
        Start from timm's DINOv3 weights (DINOv3 License).
    weights : Path, optional
        Start from a safetensors file of such weights instead.
    """

    def __init__(
        self,
        architecture: Architecture,
        tasks: Iterable[Task] = (),
        pretrained: bool = False,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone = Backbone(architecture, pretrained, weights)
        self.stem = ConvStem(architecture.stem, self.backbone.dim) if architecture.stem else None
        width = 0 if self.stem else architecture.detail_width
        self.detail = DetailBranch(width) if width else None
        shallow = self.stem.channels[:2] if self.stem else [width] if width else []
        self.decoder = Decoder(self.backbone.dim, architecture.decoder_width, shallow)
        if self.stem and (pretrained or weights is not None):
            # The tokens start as the trained ViT's own.
            self.stem.add_nothing()
        self.embeddings = nn.ParameterDict()
        self.heads = nn.ModuleDict()
        self.tasks: dict[str, Task] = {}
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        for task in tasks:
            self.add_task(task)

    @staticmethod
    def key(task_id: str) -> str:
        """Return the name of a task among the parameters; prefixed, because a module may not hold "type" or "train"."""
        return f"task_{task_id}"

    def add_task(self, task: Task) -> None:
        """Give a task an embedding and a head, freshly drawn; nothing else changes."""
        key = self.key(task.id)
        self.embeddings[key] = nn.Parameter(torch.randn(self.architecture.task_dim))
        self.heads[key] = make_head(task, self.backbone.dim, self.architecture.decoder_width, self.architecture.boxes)
        self.tasks[task.id] = task

    def add_private_experts(self, task_id: str) -> None:
        """Give a task an expert of its own in every mixture; every output stays as it was until they are trained."""
        for block in self.backbone.mixtures:
            block.add_private(self.key(task_id), self.architecture.task_dim)

    def has_private_experts(self, task_id: str) -> bool:
        return self.key(task_id) in self.backbone.mixtures[0].private

    def own_parameters(self, task_id: str) -> Iterator[nn.Parameter]:
        """Yield the parameters that only this task uses."""
        key = self.key(task_id)
        yield self.embeddings[key]
        yield from self.heads[key].parameters()
        for block in self.backbone.mixtures:
            if key in block.private:
                yield from block.private[key].parameters()

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 RGB (B, 3, H, W) -> what the network takes."""
        return (images.float() / 255 - self.mean) / self.std

    def prefix(self, images: Tensor) -> Prefix:
        """Run all that no task changes, on normalised images (B, 3, H, W); H and W are multiples of 16."""
        if self.stem is not None:
            shallow, added = self.stem(images)
            return self.backbone.prefix(images, added)._replace(detail=shallow)
        prefix = self.backbone.prefix(images)
        return prefix if self.detail is None else prefix._replace(detail=(self.detail(images),))

    def from_prefix(self, prefix: Prefix, grid: tuple[int, int], task_id: str) -> Output:
        """Finish for one task from a prefix of (h, w) = `grid` patches."""
        if task_id not in self.tasks:
            raise UntrainedTaskError(f"This model has no output for the task {task_id!r}.")
        key = self.key(task_id)
        tokens, taps = self.backbone.suffix(prefix, grid, self.embeddings[key], key)
        dense = None
        if self.tasks[task_id].type != "classification":
            maps = [tap.transpose(1, 2).unflatten(2, grid) for tap in taps]
            dense = self.decoder(maps, prefix.detail)
        output: Output = self.heads[key](Features(tokens[:, self.backbone.num_prefix_tokens :], dense))
        return output

    def forward(self, images: Tensor, task_id: str) -> Output:
        """Predict one task for normalised images (B, 3, H, W)."""
        grid = (images.shape[-2] // 16, images.shape[-1] // 16)
        return self.from_prefix(self.prefix(images), grid, task_id)
