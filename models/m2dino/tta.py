"""Test-time augmentation: the mean of what the network says of several views of a frame.

Views are the frame as it is and a quarter larger, and, where the task allows it, both mirrored. Probabilities, boxes
and points are averaged in the square of the frame as it is. By pixels it costs 2.6 predictions, 5.1 with mirrors.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from m2dino.data.targets import mirror_allowed
from m2dino.network.heads import (
    ClassificationOutput,
    ClassificationReadings,
    DetectionOutput,
    Output,
    RegressionOutput,
    SegmentationOutput,
)
from m2dino.predictor import Model
from m2dino.tasks import Task

SCALES = (1.0, 1.25)


class View(NamedTuple):
    """How a frame is looked at: with sides of `side` px, mirrored or not."""

    side: int
    mirrored: bool


class TestTimeAugmented(Model):
    """A model that answers with the mean over several views of each frame; it shares the network of `model`."""

    __test__ = False  # no test, in spite of its name

    def __init__(self, model: Model) -> None:
        super().__init__(model.net, model.card, model.device, model.path)

    def outputs(self, images: Tensor, task_id: str, keys: Sequence[Hashable] | None = None) -> list[Output]:
        """Run the network on all views of letterboxed uint8 images (B, 3, S, S); one mean output an image."""
        found = []
        for view in views(self.tasks[task_id], images.shape[-1]):
            own = None if keys is None else [(view, key) for key in keys]
            outputs = super().outputs(_seen(images, view), task_id, own)
            order = list(self.tasks[task_id].mirrored_order)
            found.append([_unmirrored(output, order) if view.mirrored else output for output in outputs])
        return [mean_output(same) for same in zip(*found, strict=True)]


def views(task: Task, side: int) -> list[View]:
    """Return the views of a task on squares of `side` px, the plain one first."""
    mirrors = (False, True) if mirror_allowed(task) else (False,)
    return [View(16 * round(side * scale / 16), mirrored) for scale in SCALES for mirrored in mirrors]


def _seen(images: Tensor, view: View) -> Tensor:
    if images.shape[-1] != view.side:
        size = (view.side, view.side)
        large = F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False)
        images = large.round().clamp(0, 255).to(torch.uint8)
    return images.flip(-1) if view.mirrored else images


def _unmirrored(output: Output, order: Sequence[int]) -> Output:
    if isinstance(output, SegmentationOutput):
        return SegmentationOutput(output.logits.flip(-1))
    if isinstance(output, DetectionOutput):
        y_min, x_min, y_max, x_max = output.box.unbind(-1)
        # Left and right trade places, in the box as among the heatmaps of its edges.
        heat = output.heat[:, [0, 3, 2, 1]] if output.by_edges else output.heat
        return DetectionOutput(torch.stack([y_min, 1 - x_max, y_max, 1 - x_min], dim=-1), heat.flip(-1))
    if isinstance(output, RegressionOutput):
        y, x = output.points.unbind(-1)
        return RegressionOutput(torch.stack([y, 1 - x], dim=-1)[:, order], output.heat[:, order].flip(-1))
    return output


def mean_output(outputs: Sequence[Output]) -> Output:
    """Return the mean of outputs of one image in the same square; maps take the size of the first one's."""
    first = outputs[0]
    if isinstance(first, SegmentationOutput):
        return SegmentationOutput(_mean_log([output[0] for output in outputs]))
    if isinstance(first, ClassificationOutput):
        return ClassificationReadings(torch.stack([output[0] for output in outputs], dim=1)).mean()
    where = torch.stack([output[0] for output in outputs]).mean(dim=0)
    heats = [_sized(output.heat, first.heat) for output in outputs if isinstance(output, type(first))]
    heat = _mean_log([heat.flatten(2).movedim(2, 1) for heat in heats]).movedim(1, 2).view_as(first.heat)
    return type(first)(where, heat)


def _mean_log(logits: Sequence[Tensor]) -> Tensor:
    """Logarithm of the mean probabilities, which lie along the second axis."""
    probabilities = [_sized(each, logits[0]).softmax(dim=1) for each in logits]
    return torch.stack(probabilities).mean(dim=0).clamp(min=1e-12).log()


def _sized(maps: Tensor, like: Tensor) -> Tensor:
    if maps.shape == like.shape:
        return maps
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)
