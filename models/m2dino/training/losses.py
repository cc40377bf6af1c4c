"""One loss a task type, on the outputs of the heads and the targets of `m2dino.data.samples`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from m2dino.data.letterbox import resize_logits
from m2dino.network.heads import (
    ClassificationOutput,
    ClassificationReadings,
    DetectionOutput,
    RegressionOutput,
    SegmentationOutput,
    TrainingOutput,
    cell_centres,
    edge_profiles,
    grid_centres,
)
from m2dino.training.settings import LossSettings

HEAT_SIGMA = 0.025  # of the square's side: about 6 px of 256, the spread of human clicks
EDGE_SIGMA = 0.015  # a border is told across itself only, and more exactly than a point
DEFAULT = LossSettings()

Total = Callable[[Tensor], Tensor]
"""Sums a tensor over all processes that share a batch, and lets gradients through."""


def alone(tensor: Tensor) -> Tensor:
    """Sum over one process."""
    return tensor


def class_weights(counts: Sequence[int], balance: float) -> Tensor:
    """Weights n_c^-balance of classes with `counts` rows, of mean 1 over the rows; (K,)."""
    number = torch.tensor(counts, dtype=torch.float32)
    weights = torch.where(number > 0, number.clamp(min=1) ** -balance, 0.0)
    return weights * (number.sum() / (weights * number).sum().clamp(min=1e-12))


def loss_of(
    output: TrainingOutput,
    target: Tensor,
    settings: LossSettings = DEFAULT,
    weights: Tensor | None = None,
    total: Total = alone,
) -> Tensor:
    """Return the scalar loss of a batch.

    Parameters
    ----------
    output : TrainingOutput
    target : Tensor
        As in `Sample.target`, with a leading batch axis.
    settings : LossSettings
    weights : Tensor, (K,), optional
        Of the classes of a classification task.
    total : callable
        Sums over the processes that share the batch. The mean of all processes' losses is then that of the whole batch.
    """
    if isinstance(output, SegmentationOutput):
        return segmentation_loss(output.logits, target, settings, total)
    if isinstance(output, ClassificationReadings):
        # Each learns as much as it would alone.
        each = [ClassificationOutput(reading) for reading in output.readings.unbind(1)]
        return torch.stack([loss_of(reading, target, settings, weights, total) for reading in each]).sum()
    if isinstance(output, ClassificationOutput):
        losses = _cross_entropy(output.logits, target, settings.focal, settings.label_smoothing)
        return (losses if weights is None else losses * weights.to(losses)[target]).mean()
    if isinstance(output, DetectionOutput):
        return detection_loss(output, target, settings, total)
    return regression_loss(output, target, settings, total)


def deep_loss(
    outputs: Sequence[TrainingOutput],
    target: Tensor,
    settings: LossSettings = DEFAULT,
    weights: Tensor | None = None,
    total: Total = alone,
) -> Tensor:
    """Return the loss of the last output, and `settings.deep` times the mean of what `loss_of` says of those before."""
    *coarser, answer = (loss_of(output, target, settings, weights, total) for output in outputs)
    return answer + settings.deep * torch.stack(coarser).mean() if coarser else answer


def _cross_entropy(logits: Tensor, target: Tensor, focal: float, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of each pixel or image, times (1 - p)^focal of its true class."""
    losses = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    if not focal:
        return losses
    sure = logits.softmax(dim=1).gather(1, target.unsqueeze(1)).squeeze(1)
    # At p = 1 the derivative of (1 - p)^focal is infinite where focal is below 1.
    return losses * (1 - sure).clamp(min=1e-6) ** focal


def segmentation_loss(logits: Tensor, target: Tensor, settings: LossSettings = DEFAULT, total: Total = alone) -> Tensor:
    """Soft Dice over the classes but the background, plus cross-entropy; logits (B, K, h, w), target (B, S, S)."""
    logits = resize_logits(logits, target.shape[-1])
    loss = logits.new_zeros(())
    if settings.cross_entropy:
        loss = loss + settings.cross_entropy * _cross_entropy(logits, target, settings.focal).mean()
    if settings.dice:
        probabilities = logits.softmax(dim=1)
        truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(probabilities)
        # Over the batch rather than per image: an absent class then gives no 0/0.
        overlap = total((probabilities * truth).sum(dim=(0, 2, 3)))
        both = total((probabilities + truth).sum(dim=(0, 2, 3)))
        dice = (2 * overlap + 1) / (both + 1)
        loss = loss + settings.dice * (1 - dice[1:]).mean()
    return loss


def _heat_loss(heat: Tensor, centres: Tensor, visible: Tensor, total: Total) -> Tensor:
    """Cross-entropy between softmaxed heatmaps (B, K, h, w) and Gaussians at centres (B, K, 2); visible (B, K)."""
    cells = grid_centres(heat.shape[-2], heat.shape[-1], heat.device)
    distance = ((centres.nan_to_num()[:, :, None] - cells) ** 2).sum(dim=-1)
    truth = torch.softmax(-distance / (2 * HEAT_SIGMA**2), dim=-1)
    entropy = -(truth * heat.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return total((entropy * visible).sum()) / total(visible.sum()).clamp(min=1)


def _edge_loss(heat: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy between where heatmaps (B, 4, h, w) see the edges and Gaussians at target (B, 4)."""
    losses = []
    for profile, edges in zip(edge_profiles(heat), (target[:, 0::2], target[:, 1::2]), strict=True):
        cells = cell_centres(profile.shape[-1], heat.device)
        truth = torch.softmax(-((edges[..., None] - cells) ** 2) / (2 * EDGE_SIGMA**2), dim=-1)
        losses.append(-(truth * profile.log_softmax(dim=-1)).sum(dim=-1).mean())
    return torch.stack(losses).sum()


def detection_loss(
    output: DetectionOutput, target: Tensor, settings: LossSettings = DEFAULT, total: Total = alone
) -> Tensor:
    """L1 and GIoU of the box, cross-entropy of its heatmaps; target (B, 4) in [0, 1]."""
    # The order of the axes does not matter to GIoU, as long as it is the same for both.
    giou = generalized_box_iou_loss(output.box, target, reduction="mean")
    if output.by_edges:
        heat = _edge_loss(output.heat, target)
    else:
        centre = (target[:, :2] + target[:, 2:]) / 2
        heat = _heat_loss(output.heat, centre[:, None], torch.ones_like(centre[:, :1]), total)
    loss: Tensor = 5 * F.l1_loss(output.box, target) + giou + settings.heat * heat
    return loss


def regression_loss(
    output: RegressionOutput, target: Tensor, settings: LossSettings = DEFAULT, total: Total = alone
) -> Tensor:
    """L1 of the visible points and cross-entropy of their heatmaps; target (B, K, 2), NaN where not visible."""
    visible = ~target.isnan().any(dim=-1)
    weight = visible.to(output.points)
    error = (output.points - target.nan_to_num()).abs().sum(dim=-1)
    points = total((error * weight).sum()) / total(weight.sum()).clamp(min=1)
    return 10 * points + settings.heat * _heat_loss(output.heat, target, weight, total)
