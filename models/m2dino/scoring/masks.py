"""Two masks compared: Dice, Hausdorff, the distances between outlines, and the share of pixels found.

Official (FM_UIA 2026): DSC and HD. HD is the full symmetric Hausdorff distance between the two sets of pixels, as
SimpleITK's HausdorffDistanceImageFilter gives it.

Beside them, between outlines (the pixels of a mask with one of their four neighbours outside it, or at the image's
edge): HD95, the larger of the 95th percentiles of the two directed distances, and ASSD, the mean over the pixels of
both outlines of the distance to the other one. Definitions: Maier-Hein, Reinke et al., Metrics reloaded, Nature Methods
21, 2024; so computes MONAI as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2dino.scoring.bootstrap import Floats
from m2dino.values import Mask

Pixels = NDArray[np.bool_]


@dataclass(frozen=True)
class Distances:
    """Distances between two sets of pixels, in pixels.

    Attributes
    ----------
    hausdorff : float
        0 where both are empty, the image's diagonal where one is.
    hd95, assd : float
        Between the outlines; NaN where one or both are empty.
    """

    hausdorff: float
    hd95: float
    assd: float


def stretched(labels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return labels at another size (height, width), nearest pixel, rounding as OpenCV's INTER_NEAREST does."""
    if labels.shape == shape:
        return labels
    rows, columns = (
        # The inverse of a quotient, not the quotient of the inverse: they differ in the last bit, and so by a pixel.
        np.minimum(np.floor(np.arange(to) * (1 / (to / of))).astype(int), of - 1)
        for of, to in zip(labels.shape, shape, strict=True)
    )
    larger: NDArray[np.uint8] = labels[rows[:, None], columns]
    return larger


def class_pairs(pred: Mask, truth: Mask, num_classes: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield (predicted, true) pixels of the classes 1 to K-1; a prediction of another size is stretched first."""
    labels = stretched(pred.labels, (truth.labels.shape[0], truth.labels.shape[1]))
    for index in range(1, num_classes):
        yield labels == index, truth.labels == index


def pixel_dice(pred: Pixels, truth: Pixels) -> float:
    """Return 2 |P∩T| / (|P| + |T|); 1 where both are empty."""
    total = np.count_nonzero(pred) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(pred & truth) / total if total else 1.0


def sensitivity_specificity(pred: Pixels, truth: Pixels) -> tuple[float, float]:
    """Return the share of true pixels that are predicted, and of others that are not; NaN where there are none."""
    true, other = np.count_nonzero(truth), np.count_nonzero(~truth)
    hits, alarms = np.count_nonzero(pred & truth), np.count_nonzero(pred & ~truth)
    return hits / true if true else math.nan, 1 - alarms / other if other else math.nan


def distances(pred: Pixels, truth: Pixels) -> Distances:
    """Return the distances between two sets of pixels of one image, (H, W) bool each."""
    from scipy.ndimage import distance_transform_edt

    has_pred, has_truth = bool(pred.any()), bool(truth.any())
    if not (has_pred and has_truth):
        worst = math.hypot(*truth.shape) if has_pred or has_truth else 0.0
        return Distances(worst, math.nan, math.nan)
    both = pred | truth
    rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
    # Every nearest pixel lies inside the box around both sets, so nothing outside it matters.
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    pred, truth = pred[box], truth[box]
    pred_outline, truth_outline = outline(pred), outline(truth)
    # A pixel outside a set is as far from the set as from its outline: one transform a side serves every distance.
    to_truth, to_pred = distance_transform_edt(~truth_outline), distance_transform_edt(~pred_outline)
    strays = (to_truth[pred & ~truth], to_pred[truth & ~pred])
    hausdorff = max((float(stray.max()) for stray in strays if stray.size), default=0.0)
    there, back = to_truth[pred_outline], to_pred[truth_outline]
    hd95 = max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))
    return Distances(hausdorff, hd95, float((there.sum() + back.sum()) / (there.size + back.size)))


def outline(pixels: Pixels) -> Pixels:
    """Return the pixels that have one of their four neighbours outside the set, or outside the image."""
    inner = np.zeros_like(pixels)
    inner[1:-1, 1:-1] = pixels[1:-1, 1:-1] & pixels[:-2, 1:-1] & pixels[2:, 1:-1] & pixels[1:-1, :-2] & pixels[1:-1, 2:]
    return pixels & ~inner


def dice(pred: Mask, truth: Mask, num_classes: int) -> Floats:
    """Return the Dice coefficient of every class but the background, (K-1,); 1 where a class is absent from both."""
    return np.array([pixel_dice(p, t) for p, t in class_pairs(pred, truth, num_classes)])


def hausdorff(pred: Mask, truth: Mask, num_classes: int) -> Floats:
    """Return the symmetric Hausdorff distance of every class but the background, (K-1,), in pixels.

    0 where a class is absent from both, the diagonal of the image where it is absent from one.
    """
    return np.array([distances(p, t).hausdorff for p, t in class_pairs(pred, truth, num_classes)])
