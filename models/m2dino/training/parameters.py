"""Which learning rate and weight decay each parameter gets, and how the learning rate runs."""

from __future__ import annotations

import math
import re

from torch import nn

from m2dino.network.model import M2Dino
from m2dino.training.settings import TrainSettings


def parameter_groups(net: M2Dino, settings: TrainSettings) -> list[dict[str, object]]:
    """Split the trainable parameters by peak learning rate, and by whether they decay (matrices only).

    The encoder's last block learns at `encoder_lr`, each block before it at `layer_decay` of the next, the patch
    embedding and the class and register tokens slowest; the stem at `stem_lr`; all else at `head_lr`.
    """
    # timm's own list: class, register and position tokens are vectors that happen to have three axes.
    tokens: set[str] = {f"backbone.vit.{name}" for name in net.backbone.vit.no_weight_decay()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and not name.startswith("embeddings.") and name not in tokens
            groups.setdefault((_peak(net, name, settings), decays), []).append(parameter)
    return [
        {"params": group, "lr": peak, "peak": peak, "weight_decay": settings.weight_decay if decays else 0.0}
        for (peak, decays), group in groups.items()
    ]


def _peak(net: M2Dino, name: str, settings: TrainSettings) -> float:
    if name.startswith("stem.body."):
        return settings.stem_lr
    if name.startswith("stem."):
        # What it adds to the patch embeddings is learnt like the encoder that takes it.
        return settings.encoder_lr
    if not name.startswith("backbone."):
        return settings.head_lr
    depth = net.backbone.moe_from + len(net.backbone.moe_blocks)
    plain, mixed = (re.match(rf"backbone\.{blocks}\.(\d+)\.", name) for blocks in ("vit\\.blocks", "moe_blocks"))
    if plain:
        below = depth - 1 - int(plain[1])
    elif mixed:
        below = depth - 1 - net.backbone.moe_from - int(mixed[1])
    else:
        # The final norm comes after the last block, all the rest before the first.
        below = 0 if name.startswith("backbone.vit.norm.") else depth
    return settings.encoder_lr * settings.layer_decay**below


def schedule(fraction: float, warmup: float) -> float:
    """Factor of the learning rate after `fraction` of the run: linear rise, then a cosine to 1 %."""
    if fraction < warmup:
        return max(fraction / warmup, 0.01)
    rest = min((fraction - warmup) / (1 - warmup), 1.0)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * rest))
