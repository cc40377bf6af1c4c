"""Fitting each task's temperature on held-out rows, on letterboxed tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from m2dino.data.letterbox import resize_logits
from m2dino.data.samples import GroupSample, collate_groups
from m2dino.network.heads import ClassificationOutput, Output, SegmentationOutput
from m2dino.network.model import M2Dino
from m2dino.temperature import fit_temperature
from m2dino.training.checks import HeldOut
from m2dino.training.colabelled import SharedForward
from m2dino.training.halving import Indices

LEAST_IMAGES = 10
PIXELS = 1024


@torch.no_grad()
def fit_temperatures(net: M2Dino, held_out: HeldOut) -> dict[str, float]:
    """Return the temperature of each task of classification and segmentation that enough held-out images are of.

    Parameters
    ----------
    net : M2Dino
        In evaluation mode, on any device.
    held_out : HeldOut

    Raises
    ------
    TrainingError
        Not even one image fits into the memory.
    """
    forward = SharedForward(net)
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
    images: dict[str, int] = {}
    for tasks, keys in held_out.batches:
        fitting = [task for task in tasks if net.tasks[task].type in ("classification", "segmentation")]
        if not fitting:
            continue
        sample = collate_groups([held_out.frames.group(key) for key in keys])
        found = partial(_found, forward, tasks, fitting, sample)
        for task, pairs in held_out.halving.each(np.arange(len(keys)), found):
            seen.setdefault(task, []).append(pairs)
        for task in fitting:
            images[task] = images.get(task, 0) + len(keys)
    fitted = {}
    for task, parts in sorted(seen.items()):
        if images[task] >= LEAST_IMAGES:
            logits, truth = (torch.cat(each) for each in zip(*parts, strict=True))
            fitted[task] = fit_temperature(logits, truth)
    return fitted


def _found(
    forward: SharedForward, tasks: Sequence[str], fitting: Sequence[str], sample: GroupSample, part: Indices
) -> list[tuple[str, tuple[Tensor, Tensor]]]:
    """Return what is said of some images of a batch beside the truth, for each task that a temperature fits."""
    own, device = slice(int(part[0]), int(part[-1]) + 1), next(forward.parameters()).device
    outputs = forward(sample.image[own].to(device), fitting)
    pairs = zip(tasks, sample.targets, strict=True)
    return [(task, _pairs(outputs[task], target[own].to(device))) for task, target in pairs if task in outputs]


def _pairs(output: Output, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (N, K) and true classes (N,) of images, or of pixels spread over them."""
    if isinstance(output, ClassificationOutput):
        return output.logits.cpu(), target.cpu()
    assert isinstance(output, SegmentationOutput)
    logits = resize_logits(output.logits, target.shape[-1]).movedim(1, -1).flatten(1, 2)
    # An odd step, so that the pixels of one image do not lie in columns.
    step = max(1, logits.shape[1] // PIXELS) | 1
    return logits[:, ::step].flatten(0, 1).cpu(), target.flatten(1)[:, ::step].flatten().cpu()
