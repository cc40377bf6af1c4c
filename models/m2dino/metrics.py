"""The official metrics of FM_UIA 2026, exactly, and an interval for each by resampling subjects.

What the challenge's scoring does, and where a sounder figure stands beside it:

- DSC, HD: per image and class; both empty scores 1 and 0, one empty 0 and the image's diagonal. Averaged over images,
  then over the classes 1 to K-1. HD is the full symmetric Hausdorff distance in pixels of the original image.
- AUC: 0 where a class is missing from the truth, since the scorer's library call fails there. `AUC_sound` is the mean
  of one-versus-rest over the classes that are present.
- IoU: a missing box is skipped, not scored 0.
- MRE: mean distance over the points of an image, then over images, in pixels. A predicted point that is missing counts
  as (0, 0), as in the scorer. True points that are not visible are left out, where the scorer takes them for (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2dino.classification_metrics import classification_scores
from m2dino.tasks import Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

Floats = NDArray[np.float64]
DRAWS = 1000


@dataclass(frozen=True)
class Metric:
    """One figure of one task.

    Attributes
    ----------
    value : float
    low, high : float
        95 % interval by resampling subjects; NaN where there is only one subject.
    n : int
        Images that it is computed from.
    """

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Return plain data, fit for JSON: None for what is not known."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {**{key: number if math.isfinite(number) else None for key, number in numbers.items()}, "n": self.n}


def dice(pred: Mask, truth: Mask, num_classes: int) -> Floats:
    """Return the Dice coefficient of every class but the background, (K-1,); 1 where a class is absent from both."""
    scores = np.ones(num_classes - 1)
    for index, (p, t) in enumerate(_class_pairs(pred, truth, num_classes)):
        total = int(p.sum()) + int(t.sum())
        if total:
            scores[index] = 2 * int((p & t).sum()) / total
    return scores


def hausdorff(pred: Mask, truth: Mask, num_classes: int) -> Floats:
    """Return the symmetric Hausdorff distance of every class but the background, (K-1,), in pixels.

    0 where a class is absent from both, the diagonal of the image where it is absent from one.
    """
    scores = np.zeros(num_classes - 1)
    for index, (p, t) in enumerate(_class_pairs(pred, truth, num_classes)):
        if p.any() != t.any():
            scores[index] = math.hypot(*truth.labels.shape)
        elif p.any():
            scores[index] = _hausdorff(p, t)
    return scores


def iou(pred: Box, truth: Box) -> float:
    """Return the intersection over union of two boxes; 0 where both are empty."""
    height = min(pred.y_max, truth.y_max) - max(pred.y_min, truth.y_min)
    width = min(pred.x_max, truth.x_max) - max(pred.x_min, truth.x_min)
    common = max(0.0, height) * max(0.0, width)
    areas = ((box.y_max - box.y_min) * (box.x_max - box.x_min) for box in (pred, truth))
    union = sum(areas) - common
    return common / union if union > 0 else 0.0


def radial_error(pred: Keypoints, truth: Keypoints) -> float:
    """Return the mean distance in pixels over the visible true points; NaN where none is visible.

    A predicted point that is NaN counts as (0, 0).
    """
    distances = np.linalg.norm(np.nan_to_num(pred.points, nan=0.0) - truth.points, axis=1)
    visible = ~np.isnan(distances)
    return float(distances[visible].mean()) if visible.any() else math.nan


def bootstrap_weights(groups: Sequence[Hashable], seed: int, draws: int = DRAWS) -> Floats:
    """Return how often each image counts in each resampling of whole groups, (draws, n)."""
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    count = len(index)
    weights = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=draws)
    return weights[:, [index[group] for group in groups]].astype(np.float64)


def bootstrap_interval(values: Sequence[float] | Floats, groups: Sequence[Hashable], seed: int) -> tuple[float, float]:
    """Return the 95 % interval (low, high) of the mean of `values`, resampling whole groups.

    Parameters
    ----------
    values : (n,) numbers, one an image
    groups : (n,) subject of each image
    seed : int

    Returns
    -------
    (float, float)
        NaN where there are fewer than two groups: one subject says nothing about the next.
    """
    array = np.asarray(values, dtype=np.float64)
    return _interval(lambda weights: _weighted_mean(array, weights), groups, seed)


def score_task(
    task: Task,
    predictions: Iterable[Value | None],
    truths: Iterable[Value],
    groups: Sequence[Hashable],
    seed: int = 0,
) -> dict[str, Metric]:
    """Return the official metrics of one task by their official names.

    Parameters
    ----------
    task : Task
    predictions, truths : iterables of n values
        One an image, in the same order; may be generators, so that masks need not all be in memory. A missing
        prediction is None: no class has a pixel (segmentation), the image is skipped (detection), every point is at
        (0, 0) (regression), and not allowed for classification, whose scorer needs one.
    groups : sequence of n
        Subject or recording of each image.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        segmentation: DSC, HD; classification: Accuracy, F1_macro, F1_weighted, MCC, AUC, AUC_sound; detection: IoU;
        regression: MRE. Empty where no image can be scored.
    """
    pairs = zip(predictions, truths, strict=True)
    if task.type == "classification":
        return _score_classes(pairs, groups, task.num_classes, seed)
    names = {"segmentation": ("DSC", "HD"), "detection": ("IoU",)}.get(task.type, ("MRE",))
    per_image: dict[str, list[float]] = {name: [] for name in names}
    kept: list[Hashable] = []
    for group, (pred, truth) in zip(groups, pairs, strict=True):
        scores: dict[str, float] = {}
        if isinstance(truth, Mask):
            mask = pred if isinstance(pred, Mask) else Mask(np.zeros_like(truth.labels))
            scores["DSC"] = float(dice(mask, truth, task.num_classes).mean())
            scores["HD"] = float(hausdorff(mask, truth, task.num_classes).mean())
        elif isinstance(truth, Box) and isinstance(pred, Box):
            scores["IoU"] = iou(pred, truth)
        elif isinstance(truth, Keypoints):
            error = radial_error(pred if isinstance(pred, Keypoints) else Keypoints(truth.points * np.nan), truth)
            if not math.isnan(error):
                scores["MRE"] = error
        if scores:
            kept.append(group)
            for name, score in scores.items():
                per_image[name].append(score)
    return {
        name: Metric(float(np.mean(values)), *bootstrap_interval(values, kept, seed), len(values))
        for name, values in per_image.items()
        if values
    }


def _score_classes(
    pairs: Iterable[tuple[Value | None, Value]], groups: Sequence[Hashable], num_classes: int, seed: int
) -> dict[str, Metric]:
    chosen = [(pred, truth) for pred, truth in pairs]
    if not chosen:
        return {}
    probabilities, classes = [], []
    for pred, truth in chosen:
        if not isinstance(pred, ClassProbabilities) or not isinstance(truth, ClassProbabilities):
            raise ValueError("a classification task is scored from class probabilities")
        probabilities.append(pred.probabilities)
        classes.append(truth.index)
    scores = classification_scores(np.stack(probabilities), np.array(classes), num_classes)
    n = len(classes)
    metrics = {}
    for name, statistic in scores.items():
        value = float(statistic(np.ones((1, n)))[0])
        if name == "AUC" and math.isnan(value):
            value = 0.0  # what the scorer records when its library refuses
        metrics[name] = Metric(value, *_interval(statistic, groups, seed), n)
    return metrics


def _interval(statistic: Callable[[Floats], Floats], groups: Sequence[Hashable], seed: int) -> tuple[float, float]:
    if len(set(groups)) < 2:
        return (math.nan, math.nan)
    drawn = statistic(bootstrap_weights(groups, seed))
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return (math.nan, math.nan)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return (float(low), float(high))


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    mean: Floats = weights @ values / weights.sum(axis=1)
    return mean


def _class_pairs(pred: Mask, truth: Mask, num_classes: int) -> Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield (predicted, true) pixels of the classes 1 to K-1; a prediction of another size is stretched first."""
    labels = pred.labels
    if labels.shape != truth.labels.shape:
        rows, columns = (
            np.minimum((np.arange(to) * (of / to)).astype(int), of - 1)
            for of, to in zip(labels.shape, truth.labels.shape, strict=True)
        )
        labels = labels[rows[:, None], columns]
    for index in range(1, num_classes):
        yield labels == index, truth.labels == index


def _hausdorff(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the symmetric Hausdorff distance of two sets of pixels, neither of them empty."""
    from scipy.ndimage import distance_transform_edt

    both = one | other
    rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
    # Every nearest pixel lies inside the box around both sets, so nothing outside it matters.
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    one, other = one[box], other[box]
    return float(max(distance_transform_edt(~other)[one].max(), distance_transform_edt(~one)[other].max()))
