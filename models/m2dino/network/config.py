"""What a network is built from: plain data, kept in every checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from m2dino.errors import NotACheckpointError, UsageError

Preset = Literal["tiny", "small", "base", "large"]


@dataclass(frozen=True)
class Architecture:
    """The shape of a network.

    Attributes
    ----------
    backbone : str
        Name of a DINOv3 ViT in timm.
    num_experts : int
        Experts of each mixture; the paper states no number, 4 is our choice.
    top_k : int
        Experts used per token, renormalised; 0 is the soft mixture of all (the paper's, as far as known).
    routed : bool
        Whether a gate weighs the experts. Without one their mean is taken: together they are one dense MLP, as wide as
        all of them, and cost what the soft mixture costs.
    moe_from : int
        Index of the first block with a mixture; the blocks before it are task-free. The paper has 6 (of 12).
    task_dim : int
        Length of a task's embedding.
    decoder_width : int
        Channels of the dense decoder.
    detail_width : int
        Channels of the convolutional detail branch at stride 4; 0 leaves it out. Of no effect beside a stem.
    stem : str
        Name in timm of a convolutional network to run beside the ViT (see `stem.ConvStem`); empty for none.
    pyramid : bool
        Whether the decoder takes the stem's deep maps too, and not only those at stride 4 and 8.
    class_maps : bool
        Whether classes are told from the deepest map of a stem with a pyramid too, and not from the tokens alone.
    boxes : str
        How a box is told: by a heatmap of each of its "edges", or by its "centre" and distances from there, as in
        checkpoints made before edges came.
    image_size : int
        Side of the square that frames are letterboxed to, in pixels; a multiple of 16.
    """

    backbone: str
    num_experts: int = 4
    top_k: int = 0
    routed: bool = True
    moe_from: int = 6
    task_dim: int = 64
    decoder_width: int = 64
    detail_width: int = 32
    stem: str = ""
    pyramid: bool = False
    class_maps: bool = False
    boxes: Literal["edges", "centre"] = "centre"
    image_size: int = 256

    def __post_init__(self) -> None:
        # timm takes other forms for places to fetch a network from: a file from a stranger must not send us there.
        if not re.fullmatch(r"\w+(\.\w+)?", self.backbone):
            raise UsageError(f"{self.backbone!r} is not the name of a network.")
        if self.stem and not re.fullmatch(r"\w+(\.\w+)?", self.stem):
            raise UsageError(f"{self.stem!r} is not the name of a network.")
        if self.boxes not in ("edges", "centre"):
            raise UsageError(f"Boxes are told by edges or by centre, not by {self.boxes!r}.")
        if self.num_experts < 1 or not 0 <= self.top_k <= self.num_experts:
            raise UsageError(f"{self.num_experts} experts with top-{self.top_k} is not a mixture.")
        if self.top_k and not self.routed:
            raise UsageError("Without a gate there is no choice of experts: top-k needs routing.")
        if self.image_size < 32 or self.image_size % 16:
            raise UsageError(f"The image size must be a multiple of 16 and at least 32, not {self.image_size}.")

    @property
    def keeps_deep_maps(self) -> bool:
        """Whether there are deep maps of a stem beside the tokens."""
        return bool(self.stem) and self.pyramid

    @property
    def reads_classes_twice(self) -> bool:
        """Whether a head of classes has a second reading, of the deepest map."""
        return self.keeps_deep_maps and self.class_maps

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        try:
            return cls(**data)
        except (TypeError, UsageError) as error:
            raise NotACheckpointError(f"the checkpoint's architecture is not understood: {error}") from error

    def with_options(self, **changes: Any) -> Architecture:
        return replace(self, **changes)


PRESETS: dict[Preset, Architecture] = {
    # The names are timm's; weights of the same names carry the DINOv3 licence and are never shipped here.
    "tiny": Architecture(
        "vit_tiny_patch16_dinov3_qkvb", stem="mobilenetv2_100", pyramid=True, class_maps=True, boxes="edges"
    ),
    "small": Architecture("vit_small_patch16_dinov3", decoder_width=128, detail_width=48, boxes="edges"),
    "base": Architecture("vit_base_patch16_dinov3", decoder_width=192, detail_width=64, boxes="edges"),
    "large": Architecture("vit_large_patch16_dinov3", moe_from=12, decoder_width=256, detail_width=64, boxes="edges"),
}


def preset(name: str) -> Architecture:
    """Return the architecture of a preset.

    Raises
    ------
    UsageError
        No preset of that name.
    """
    for known, architecture in PRESETS.items():
        if known == name:
            return architecture
    raise UsageError(f"No preset is called {name!r}; there are {', '.join(PRESETS)}.")
