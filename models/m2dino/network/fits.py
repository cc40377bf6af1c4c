"""Whether the weights in a file are of the architecture that its card names, told from their names and shapes alone.

No torch and no weights are read, so that a list of models can leave out what could not be loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from m2dino.network.config import Architecture

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each tensor of a file, by its name."""

_SHARED = re.compile(r"backbone\.vit\.blocks\.(\d+)\.")
_MIXED = re.compile(r"backbone\.moe_blocks\.(\d+)\.moe\.")
_FIRST = "backbone.moe_blocks.0.moe"


def misfit(shapes: Shapes, architecture: Architecture, tasks: int) -> str:
    """Say what does not fit, in a few words; empty where all that is looked at fits.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
    architecture : Architecture
    tasks : int
        How many tasks the card names.
    """
    shared, mixed = _count(_SHARED, shapes), _count(_MIXED, shapes)
    if not shared and not mixed:
        return "they are of another network altogether"
    experts = shapes.get(f"{_FIRST}.fc2_bias", (0, 0))[-1]
    gate = shapes.get(f"{_FIRST}.gate_task.weight")
    embeddings = [shape for name, shape in shapes.items() if name.startswith("embeddings.")]
    found = {
        "blocks before the first mixture": (shared, architecture.moe_from),
        "experts": (experts, architecture.num_experts),
        "gates": (int(gate is not None), int(architecture.routed)),
        "numbers in a task's embedding": (embeddings[0][0] if embeddings else 0, architecture.task_dim),
        "tasks": (len(embeddings), tasks),
        "channels in the decoder": (
            shapes.get("decoder.reduce.0.weight", (0,))[0],
            architecture.decoder_width,
        ),
        "deep maps in the decoder": (
            sum(name.startswith("decoder.deep.") and name.endswith(".weight") for name in shapes),
            2 if architecture.keeps_deep_maps else 0,
        ),
        "heads that tell classes from a deep map": (
            sum(name.endswith(".deep_norm.weight") for name in shapes),
            sum(name.startswith("heads.") and name.endswith(".attention.weight") for name in shapes)
            if architecture.reads_classes_twice
            else 0,
        ),
        "stems": (int(any(name.startswith("stem.") for name in shapes)), int(bool(architecture.stem))),
    }
    wrong = [f"{there} {what} instead of {named}" for what, (there, named) in found.items() if there != named]
    return "; ".join(wrong)


def _count(pattern: re.Pattern[str], shapes: Shapes) -> int:
    return len({match.group(1) for name in shapes if (match := pattern.match(name))})
