"""One loss a task type, on the outputs of the heads and the targets of `m2dino.data.samples`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from m2dino.data.letterbox import resize_logits
from m2dino.network.heads import (
    ClassificationOutput,
    DetectionOutput,
    Output,
    RegressionOutput,
    SegmentationOutput,
    grid_centres,
)

HEAT_SIGMA = 0.025  # of the square's side: about 6 px of 256, the spread of human clicks
LABEL_SMOOTHING = 0.05


def loss_of(output: Output, target: Tensor) -> Tensor:
    """Return the scalar loss of a batch.

    Parameters
    ----------
    output : Output
    target : Tensor
        As in `Sample.target`, with a leading batch axis.
    """
    if isinstance(output, SegmentationOutput):
        return segmentation_loss(output.logits, target)
    if isinstance(output, ClassificationOutput):
        return F.cross_entropy(output.logits, target, label_smoothing=LABEL_SMOOTHING)
    if isinstance(output, DetectionOutput):
        return detection_loss(output, target)
    return regression_loss(output, target)


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice over the classes but the background, plus cross-entropy; logits (B, K, h, w), target (B, S, S)."""
    logits = resize_logits(logits, target.shape[-1])
    probabilities = logits.softmax(dim=1)
    truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(probabilities)
    # Over the batch rather than per image: an absent class then gives no 0/0.
    overlap = (probabilities * truth).sum(dim=(0, 2, 3))
    total = (probabilities + truth).sum(dim=(0, 2, 3))
    dice = (2 * overlap + 1) / (total + 1)
    return F.cross_entropy(logits, target) + (1 - dice[1:]).mean()


def _heat_loss(heat: Tensor, centres: Tensor, visible: Tensor) -> Tensor:
    """Cross-entropy between softmaxed heatmaps (B, K, h, w) and Gaussians at centres (B, K, 2); visible (B, K)."""
    cells = grid_centres(heat.shape[-2], heat.shape[-1], heat.device)
    distance = ((centres.nan_to_num()[:, :, None] - cells) ** 2).sum(dim=-1)
    truth = torch.softmax(-distance / (2 * HEAT_SIGMA**2), dim=-1)
    entropy = -(truth * heat.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return (entropy * visible).sum() / visible.sum().clamp(min=1)


def detection_loss(output: DetectionOutput, target: Tensor) -> Tensor:
    """L1 and GIoU of the box, cross-entropy of the centre's heatmap; target (B, 4) in [0, 1]."""
    centre = (target[:, :2] + target[:, 2:]) / 2
    heat = _heat_loss(output.heat, centre[:, None], torch.ones_like(centre[:, :1]))
    # The order of the axes does not matter to GIoU, as long as it is the same for both.
    giou = generalized_box_iou_loss(output.box, target, reduction="mean")
    total: Tensor = 5 * F.l1_loss(output.box, target) + giou + 0.2 * heat
    return total


def regression_loss(output: RegressionOutput, target: Tensor) -> Tensor:
    """L1 of the visible points and cross-entropy of their heatmaps; target (B, K, 2), NaN where not visible."""
    visible = ~target.isnan().any(dim=-1)
    weight = visible.to(output.points)
    error = (output.points - target.nan_to_num()).abs().sum(dim=-1)
    points = (error * weight).sum() / weight.sum().clamp(min=1)
    return 10 * points + 0.2 * _heat_loss(output.heat, target, weight)
