"""A score in [0, 1] of each task, comparable between the types, to choose a state and to stop by.

Computed on letterboxed tensors, without enlarging to the original frames: cheap, and good enough to rank states of one
run. It is no official metric and is not reported as one.

- segmentation: Dice, averaged over images and over the classes but the background.
- classification: mean of the balanced accuracy, set to 0 at the level of chance, and of the AUC (one against the rest)
  set likewise. The first is what a user sees; the second also moves where no answer changes. Both ignore prevalence.
- detection: IoU.
- regression: exp(-error / 5 %), the error as a share of the square's side: 0.82 at 1 % and 0.37 at 5 %, about as Dice
  of a small structure falls with its shift, and never flat, so that bad states can be told apart, too.

The whole is the mean over the types of the means over their tasks: twelve tasks of segmentation do not outvote three of
regression.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from m2dino.data.letterbox import resize_logits
from m2dino.network.heads import ClassificationOutput, DetectionOutput, Output, SegmentationOutput
from m2dino.tasks import Task

ERROR_SCALE = 0.05


def answers(output: Output, target: Tensor) -> Tensor:
    """Reduce a batch to what the score of its task is computed from, (B, …), on the CPU.

    segmentation, detection, regression: a score an image, NaN where nothing is visible; classification: probabilities
    (B, K) and, as the last column, the true class.
    """
    if isinstance(output, SegmentationOutput):
        return _dice(resize_logits(output.logits, target.shape[-1]), target).cpu()
    if isinstance(output, ClassificationOutput):
        return torch.cat([output.logits.float().softmax(dim=1), target[:, None].float()], dim=1).cpu()
    if isinstance(output, DetectionOutput):
        ious: Tensor = box_iou(output.box.float(), target).diagonal().cpu()
        return ious
    errors = torch.linalg.vector_norm(output.points.float() - target, dim=-1).nanmean(dim=-1)
    return torch.exp(-errors / ERROR_SCALE).cpu()


def _dice(logits: Tensor, target: Tensor) -> Tensor:
    """Mean Dice of the classes but the background, 1 for a class that is absent from both; (B,)."""
    count = logits.shape[1]
    found, truth = (F.one_hot(labels, count).flatten(1, 2)[..., 1:] for labels in (logits.argmax(dim=1), target))
    both = (found.sum(dim=1) + truth.sum(dim=1)).float()
    dice = torch.where(both > 0, 2 * (found * truth).sum(dim=1) / both.clamp(min=1), 1.0)
    return dice.mean(dim=1)


def task_score(task: Task, gathered: Tensor) -> float:
    """Return the score of a task from the `answers` of all its images; NaN where it cannot be told."""
    if task.type != "classification":
        seen = gathered[~gathered.isnan()]
        return float(seen.mean()) if len(seen) else float("nan")
    probabilities, truth = gathered[:, :-1].double().numpy(), gathered[:, -1].long().numpy()
    present = np.unique(truth)
    if len(present) < 2:
        return float((probabilities.argmax(axis=1) == truth).mean())
    recall = np.mean([(probabilities[truth == k].argmax(axis=1) == k).mean() for k in present])
    chance = 1 / probabilities.shape[1]
    auc = np.mean([_auc(probabilities[:, k], truth == k) for k in present])
    return float((max(0.0, (recall - chance) / (1 - chance)) + max(0.0, 2 * auc - 1)) / 2)


def _auc(
    scores: np.ndarray[tuple[int], np.dtype[np.float64]], positive: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, scores))


def overall(tasks: Mapping[str, Task], scores: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Return the mean over the types, and the mean of each type, of what could be told."""
    by_type: dict[str, list[float]] = {}
    for task_id, score in scores.items():
        if np.isfinite(score):
            by_type.setdefault(tasks[task_id].type, []).append(score)
    means = {kind: float(np.mean(own)) for kind, own in sorted(by_type.items())}
    return (float(np.mean(list(means.values()))) if means else float("nan")), means
