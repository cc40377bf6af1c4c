"""Two boxes and two sets of points compared, as FM_UIA 2026 does."""

from __future__ import annotations

import math

import numpy as np

from m2dino.values import Box, Keypoints


def iou(pred: Box, truth: Box) -> float:
    """Return the intersection over union of two boxes; 0 where both are empty."""
    height = min(pred.y_max, truth.y_max) - max(pred.y_min, truth.y_min)
    width = min(pred.x_max, truth.x_max) - max(pred.x_min, truth.x_min)
    common = max(0.0, height) * max(0.0, width)
    areas = ((box.y_max - box.y_min) * (box.x_max - box.x_min) for box in (pred, truth))
    union = sum(areas) - common
    return common / union if union > 0 else 0.0


def radial_error(pred: Keypoints, truth: Keypoints, *, hidden_at_origin: bool = False) -> float:
    """Return the mean distance between points in pixels.

    A predicted point that is NaN counts as (0, 0).

    Parameters
    ----------
    pred, truth : Keypoints
    hidden_at_origin : bool
        Whether a true point that is not visible counts as (0, 0), which is what the challenge's scorer does, or is left
        out. Left out, the result is NaN where no point is visible.
    """
    true = np.nan_to_num(truth.points, nan=0.0) if hidden_at_origin else truth.points
    distances = np.linalg.norm(np.nan_to_num(pred.points, nan=0.0) - true, axis=1)
    visible = ~np.isnan(distances)
    return float(distances[visible].mean()) if visible.any() else math.nan
