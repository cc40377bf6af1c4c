"""The whole network: shared encoder, shared decoder, and what each task owns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

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


class Encoded(NamedTuple):
    """What the encoder says of a batch under one task; may be cached while the encoder stays as it is.

    Attributes
    ----------
    tokens : Tensor, (B, h * w, D)
        Final patch tokens.
    taps : tuple of Tensor, (B, h * w, D)
        For the decoder, shallow to deep.
    detail : tuple of Tensor
        As in `Prefix`.
    """

    tokens: Tensor
    taps: tuple[Tensor, ...]
    detail: tuple[Tensor, ...] = ()


class M2Dino(nn.Module):
    """One encoder for all tasks; a task owns its embedding, its head, and any private experts and decoder.

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
        self.stem_maps = 4 if architecture.pyramid else 2
        width = 0 if self.stem else architecture.detail_width
        self.detail = DetailBranch(width) if width else None
        shallow = self.stem.channels[: self.stem_maps] if self.stem else [width] if width else []
        # Of the map that classes are told from beside the tokens; 0 for none.
        self.class_channels = self.stem.channels[-1] if self.stem and architecture.reads_classes_twice else 0
        self.decoder = Decoder(self.backbone.dim, architecture.decoder_width, shallow)
        if self.stem and (pretrained or weights is not None):
            # The tokens start as the trained ViT's own.
            self.stem.add_nothing()
        self.embeddings = nn.ParameterDict()
        self.heads = nn.ModuleDict()
        # By task, for those that were fine-tuned on their own; all others share the one above.
        self.own_decoders = nn.ModuleDict()
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
        width, boxes = self.architecture.decoder_width, self.architecture.boxes
        self.heads[key] = make_head(task, self.backbone.dim, width, boxes, self.class_channels)
        self.tasks[task.id] = task

    def add_private_experts(self, task_id: str) -> None:
        """Give a task an expert of its own in every mixture; every output stays as it was until they are trained."""
        for block in self.backbone.mixtures:
            block.add_private(self.key(task_id), self.architecture.task_dim)

    def has_private_experts(self, task_id: str) -> bool:
        return self.key(task_id) in self.backbone.mixtures[0].private

    def add_own_decoder(self, task_id: str) -> None:
        """Give a task a decoder of its own, a copy of the shared one: every output stays as it was until it learns."""
        self.own_decoders[self.key(task_id)] = deepcopy(self.decoder)

    def has_own_decoder(self, task_id: str) -> bool:
        return self.key(task_id) in self.own_decoders

    def answer_parameters(self, task_id: str) -> Iterator[nn.Parameter]:
        """Yield what only this task uses after the encoder: its head and, where it has one, its own decoder."""
        key = self.key(task_id)
        yield from self.heads[key].parameters()
        if key in self.own_decoders:
            yield from self.own_decoders[key].parameters()

    def own_parameters(self, task_id: str) -> Iterator[nn.Parameter]:
        """Yield the parameters that only this task uses."""
        key = self.key(task_id)
        yield from self.answer_parameters(task_id)
        yield self.embeddings[key]
        for block in self.backbone.mixtures:
            if key in block.private:
                yield from block.private[key].parameters()

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 RGB (B, 3, H, W) -> what the network takes."""
        return (images.float() / 255 - self.mean) / self.std

    def prefix(self, images: Tensor) -> Prefix:
        """Run all that no task changes, on normalised images (B, 3, H, W); H and W are multiples of 16."""
        if self.stem is not None:
            maps, added = self.stem(images)
            return self.backbone.prefix(images, added)._replace(detail=maps[: self.stem_maps])
        prefix = self.backbone.prefix(images)
        return prefix if self.detail is None else prefix._replace(detail=(self.detail(images),))

    def encode(self, prefix: Prefix, grid: tuple[int, int], task_id: str) -> Encoded:
        """Run the task's half of the encoder on a prefix of (h, w) = `grid` patches."""
        if task_id not in self.tasks:
            raise UntrainedTaskError(f"This model has no output for the task {task_id!r}.")
        key = self.key(task_id)
        tokens, taps = self.backbone.suffix(prefix, grid, self.embeddings[key], key)
        return Encoded(tokens[:, self.backbone.num_prefix_tokens :], tuple(taps), prefix.detail)

    def answer(self, encoded: Encoded, grid: tuple[int, int], task_id: str) -> Output:
        """Run what comes after the encoder: the decoder, where the task needs it, and the task's head."""
        return self.answers(encoded, grid, task_id)[-1]

    def answers(self, encoded: Encoded, grid: tuple[int, int], task_id: str, coarser: bool = False) -> list[Output]:
        """Do what `answer` does; if `coarser`, with what the head says of coarser maps before it, coarse to fine."""
        key = self.key(task_id)
        levels: Sequence[Tensor | None] = [None]
        if self.tasks[task_id].type != "classification":
            maps = [tap.transpose(1, 2).unflatten(2, grid) for tap in encoded.taps]
            decoder = self.own_decoders[key] if self.has_own_decoder(task_id) else self.decoder
            if coarser:
                assert isinstance(decoder, Decoder)
                levels = decoder.levels(maps, encoded.detail)
            else:
                levels = [decoder(maps, encoded.detail)]
        deep = encoded.detail[-1] if self.class_channels else None
        return [self.heads[key](Features(encoded.tokens, dense, deep)) for dense in levels]

    def from_prefix(self, prefix: Prefix, grid: tuple[int, int], task_id: str) -> Output:
        """Finish for one task from a prefix of (h, w) = `grid` patches."""
        return self.answer(self.encode(prefix, grid, task_id), grid, task_id)

    def forward(self, images: Tensor, task_id: str) -> Output:
        """Predict one task for normalised images (B, 3, H, W)."""
        grid = (images.shape[-2] // 16, images.shape[-1] // 16)
        return self.from_prefix(self.prefix(images), grid, task_id)
