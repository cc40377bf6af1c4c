"""The figures of one image."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from m2dino.scoring.cases import Case, ClassPrediction
from m2dino.scoring.geometry import iou, radial_error
from m2dino.scoring.lengths import circumference, crosses, lengths_of
from m2dino.scoring.masks import class_pairs, distances, pixel_dice, sensitivity_specificity
from m2dino.tasks import Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask

FOUND_IOU = 0.5
"""Overlap from which a box counts as found, as in PASCAL VOC (Everingham et al., IJCV 88, 2010)."""

RANKED = {"segmentation": ("DSC", 1), "detection": ("IoU", 1), "regression": ("MRE_sound", -1)}


@dataclass(frozen=True, eq=False)
class ImageFigures:
    """What one image scores.

    Attributes
    ----------
    group : hashable
    scored : bool
        False where there is no prediction.
    values : dict of str to tuple of float
        Figure by name; one number, or one a class but the background for segmentation. NaN where it is not defined.
    remarks : tuple of str
        What a count is kept of: resized, unknown_classes, one_empty, hidden_points.
    predicted_class : ClassPrediction or None
    true_class : int or None
    axes_cross : bool or None
        Whether the two true lengths of a task that measures two cut each other; None where an end is hidden, and of
        other tasks.
    """

    group: Hashable
    scored: bool
    values: dict[str, tuple[float, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    predicted_class: ClassPrediction | None = None
    true_class: int | None = None
    axes_cross: bool | None = None


def image_figures(task: Task, case: Case) -> ImageFigures:
    """Score one image.

    Raises
    ------
    ValueError
        The prediction is not of the type of the label.
    """
    predicted, truth = case.predicted, case.truth
    if predicted is None:
        # A lesion that nothing was said of has not been found, though the official IoU skips it.
        missed: dict[str, tuple[float, ...]] = {"Sensitivity_IoU50": (0.0,)} if isinstance(truth, Box) else {}
        return ImageFigures(case.group, False, missed)
    if isinstance(truth, Mask) and isinstance(predicted, Mask):
        return _mask_figures(task, predicted, truth, case)
    if isinstance(truth, Box) and isinstance(predicted, Box):
        overlap = iou(predicted, truth)
        found = float(overlap >= FOUND_IOU)
        return ImageFigures(case.group, True, {"IoU": (overlap,), "Sensitivity_IoU50": (found,)})
    if isinstance(truth, Keypoints) and isinstance(predicted, Keypoints):
        return _point_figures(task, predicted, truth, case)
    if isinstance(truth, ClassProbabilities) and isinstance(predicted, ClassPrediction):
        return ImageFigures(case.group, True, predicted_class=predicted, true_class=truth.index)
    raise ValueError(f"{task.id}: a {type(predicted).__name__} cannot be scored against a {type(truth).__name__}")


def quality(image: ImageFigures) -> float:
    """Return a number that is larger for better images; NaN where there is none."""
    told = image.predicted_class
    if told is not None and image.true_class is not None:
        right = float(told.chosen == image.true_class)
        # Right beats wrong; among the right the sure one is better, among the wrong the unsure one.
        return right + (0.0 if told.probabilities is None else float(told.probabilities[image.true_class]))
    for name, sign in RANKED.values():
        if name in image.values:
            return sign * float(np.mean(image.values[name]))
    return math.nan


def _mask_figures(task: Task, predicted: Mask, truth: Mask, case: Case) -> ImageFigures:
    names = ("DSC", "HD", "HD95_px", "ASSD_px", "Sensitivity", "Specificity")
    table, one_empty = [], False
    for pred, true in class_pairs(predicted, truth, task.num_classes):
        apart = distances(pred, true)
        one_empty |= bool(pred.any() != true.any())
        table.append(
            (pixel_dice(pred, true), apart.hausdorff, apart.hd95, apart.assd, *sensitivity_specificity(pred, true))
        )
    columns = dict(zip(names, zip(*table, strict=True), strict=True))
    scale = math.nan if case.pixel_mm is None else case.pixel_mm
    values: dict[str, tuple[float, ...]] = {}
    for name, column in columns.items():
        values[name] = column
        if name.endswith("_px"):
            values[f"{name.removesuffix('_px')}_mm"] = tuple(number * scale for number in column)
    remarks = {
        "resized": predicted.labels.shape != truth.labels.shape,
        "unknown_classes": int(predicted.labels.max(initial=0)) >= task.num_classes,
        "one_empty": one_empty,
    }
    return ImageFigures(case.group, True, values, tuple(name for name, so in remarks.items() if so))


def _point_figures(task: Task, predicted: Keypoints, truth: Keypoints, case: Case) -> ImageFigures:
    scale = math.nan if case.pixel_mm is None else case.pixel_mm
    sound = radial_error(predicted, truth)
    values: dict[str, tuple[float, ...]] = {
        "MRE": (radial_error(predicted, truth, hidden_at_origin=True),),
        "MRE_sound": (sound,),
        "MRE_mm": (sound * scale,),
    }
    measured = lengths_of(task)
    for length in measured:
        values |= _error(length.name, length.of(predicted.points), length.of(truth.points), scale)
    axes_cross = None
    if len(measured) == 2:
        around = [circumference(*(length.of(value.points) for length in measured)) for value in (predicted, truth)]
        values |= _error("circumference", around[0], around[1], scale)
        if not math.isnan(around[1]):
            axes_cross = crosses(measured[0], measured[1], truth.points)
    hidden = ("hidden_points",) if np.isnan(truth.points).any() else ()
    return ImageFigures(case.group, True, values, hidden, axes_cross=axes_cross)


def _error(name: str, predicted: float, true: float, scale: float) -> dict[str, tuple[float, ...]]:
    """Return the error of a length, how far it is off to one side in percent, and the same without sign."""
    off = predicted - true
    percent = 100 * off / true if true > 0 else math.nan
    return {
        f"{name}_error_px": (abs(off),),
        f"{name}_error_mm": (abs(off) * scale,),
        f"{name}_error_percent": (abs(percent),),
        f"{name}_bias_percent": (percent,),
    }
