"""A timm DINOv3 ViT whose later blocks carry mixtures of experts.

The blocks before the first mixture are task-free: `prefix` runs them once per frame, and `suffix` goes on from there
for each task. Blocks are walked here rather than by timm, because timm's own walk passes no task to the MLP.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import torch
from timm.models.eva import EvaBlock
from torch import Tensor, nn

from m2dino.network.config import Architecture
from m2dino.network.moe import MoEMlp, PrivateExpert
from m2dino.network.pretrained import make_vit


class Prefix(NamedTuple):
    """What is shared by all tasks of a frame; may be cached.

    Attributes
    ----------
    tokens : Tensor, (B, 5 + h * w, D)
        Class and register tokens, then patches, after the last task-free block.
    taps : tuple of Tensor
        Patch tokens (B, h * w, D) of the decoder taps that lie in the task-free half.
    detail : tuple of Tensor
        Convolutional maps for the decoder, (B, C, H / 4, W / 4) and, from a stem, (B, C, H / 8, W / 8); filled by the
        whole network.
    """

    tokens: Tensor
    taps: tuple[Tensor, ...]
    detail: tuple[Tensor, ...] = ()


class MoEBlock(nn.Module):
    """A timm block with its MLP replaced; norms, attention, layer scale and residuals stay the block's own."""

    def __init__(self, block: EvaBlock, architecture: Architecture) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = block.norm1, block.attn, block.norm2
        self.gamma_1, self.gamma_2 = block.gamma_1, block.gamma_2
        self.moe = MoEMlp(
            block.mlp, architecture.num_experts, architecture.task_dim, architecture.top_k, architecture.routed
        )
        self.private = nn.ModuleDict()

    def forward(self, x: Tensor, rope: Tensor, task: Tensor, key: str) -> Tensor:
        attended = self.attn(self.norm1(x), rope=rope)
        x = x + (attended if self.gamma_1 is None else self.gamma_1 * attended)
        private = self.private[key] if key in self.private else None  # noqa: SIM401 - ModuleDict has no get
        mixed = self.moe(self.norm2(x), task, private)
        out: Tensor = x + (mixed if self.gamma_2 is None else self.gamma_2 * mixed)
        return out

    def add_private(self, key: str, task_dim: int) -> None:
        """Give the task `key` an expert of its own."""
        dim = self.moe.dim
        self.private[key] = PrivateExpert(dim, task_dim, width=dim)


class Backbone(nn.Module):
    """The DINOv3 ViT with mixtures from block `architecture.moe_from` on.

    Parameters
    ----------
    architecture : Architecture
    pretrained : bool
        Load timm's DINOv3 weights, whose licence is the DINOv3 License.
    weights : Path, optional
        Load a safetensors file of such weights instead (see `pretrained.make_vit`).
    """

    def __init__(self, architecture: Architecture, pretrained: bool = False, weights: Path | None = None) -> None:
        super().__init__()
        vit = make_vit(architecture.backbone, pretrained, weights)
        depth = len(vit.blocks)
        if not 0 < architecture.moe_from < depth:
            raise ValueError(f"moe_from {architecture.moe_from} is outside 1..{depth - 1}")
        self.dim: int = vit.embed_dim
        self.num_prefix_tokens: int = vit.num_prefix_tokens
        self.moe_from = architecture.moe_from
        # Four taps at even distances, as DPT does: 2, 5, 8, 11 of 12.
        self.tap_indices = tuple(depth * (i + 1) // 4 - 1 for i in range(4))
        self.vit = vit
        later = [cast("EvaBlock", block) for block in vit.blocks[self.moe_from :]]
        self.moe_blocks = nn.ModuleList(MoEBlock(block, architecture) for block in later)
        vit.blocks = vit.blocks[: self.moe_from]
        if not pretrained and weights is None:
            for block in self.mixtures:
                block.moe.reset_experts()

    @property
    def mixtures(self) -> list[MoEBlock]:
        """The blocks that carry a mixture, in order."""
        return [cast("MoEBlock", block) for block in self.moe_blocks]

    def prefix(self, images: Tensor, added: Tensor | None = None) -> Prefix:
        """Run the task-free half.

        Parameters
        ----------
        images : Tensor, (B, 3, H, W)
            Normalised; H and W are multiples of 16.
        added : Tensor, (B, h * w, D), optional
            What a stem adds to the patch embeddings.
        """
        x = self.vit.patch_embed(images)
        if added is not None:
            x = x + (added if x.ndim == 3 else added.unflatten(1, x.shape[1:3]))
        x, rope = self.vit._pos_embed(x)
        x = self.vit.norm_pre(x)
        taps = []
        for index, block in enumerate(self.vit.blocks):
            x = block(x, rope=rope)
            if index in self.tap_indices:
                taps.append(x[:, self.num_prefix_tokens :])
        return Prefix(x, tuple(taps))

    def suffix(self, prefix: Prefix, grid: tuple[int, int], task: Tensor, key: str) -> tuple[Tensor, list[Tensor]]:
        """Go on for one task.

        Parameters
        ----------
        prefix : Prefix
        grid : tuple of int
            Patches (h, w).
        task : Tensor, (task_dim,)
        key : str
            Name of the task among the private experts.

        Returns
        -------
        tokens : Tensor, (B, 5 + h * w, D)
            After the final norm.
        taps : list of four Tensors, (B, h * w, D)
        """
        rope: Tensor = self.vit.rope.get_embed(shape=list(grid))  # type: ignore[operator]  # untyped in timm
        x, taps = prefix.tokens, list(prefix.taps)
        for offset, block in enumerate(self.mixtures):
            x = block(x, rope, task, key)
            if self.moe_from + offset in self.tap_indices:
                taps.append(x[:, self.num_prefix_tokens :])
        x = self.vit.norm(x)
        return x, taps

    def gate_report(self) -> Tensor:
        """Return the mean gate of every expert in every mixture at the last call, (blocks, experts)."""
        rows = [block.moe.last_gates for block in self.mixtures]
        if any(row is None for row in rows):
            raise RuntimeError("set moe.keep_gates before the call")
        return torch.stack([row.mean(dim=(0, 1)) for row in rows if row is not None])
