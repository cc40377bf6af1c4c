"""The official metrics of FM_UIA 2026, exactly, and an interval for each by resampling subjects.

What the challenge's scoring does, and where a sounder figure stands beside it:

- An image without a prediction is skipped in every type of task, not scored as the worst.
- DSC, HD: per image and class; both empty scores 1 and 0, one empty 0 and the image's diagonal. Averaged over images,
  then over the classes 1 to K-1. HD is the full symmetric Hausdorff distance in pixels of the original image.
- Accuracy, F1, MCC look at the class that a prediction names, AUC at its probabilities. AUC is 0 where a class is
  missing from the truth, since the scorer's library call fails there. `AUC_sound` is the mean of one-versus-rest over
  the classes that are present.
- IoU: one predicted box against one true one.
- MRE: mean distance over the points of an image, then over images, in pixels. A predicted point that is missing counts
  as (0, 0), as in the scorer. The scorer takes true points that are not visible for (0, 0), too; that figure tells
  nothing about a model, so `score_task`, from which models are judged, leaves them out. `m2dino evaluate` prints both.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from m2dino.scoring.bootstrap import DRAWS, Metric, bootstrap_interval
from m2dino.scoring.cases import Case, Predicted, named_class
from m2dino.scoring.geometry import iou, radial_error
from m2dino.scoring.masks import dice, hausdorff
from m2dino.scoring.task_scores import TaskScores, score_cases
from m2dino.tasks import Task
from m2dino.values import ClassProbabilities, Value

__all__ = ["DRAWS", "Metric", "bootstrap_interval", "dice", "hausdorff", "iou", "judged", "radial_error", "score_task"]


def score_task(
    task: Task,
    predictions: Iterable[Value | Predicted | None],
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
        prediction is None: the image is skipped.
    groups : sequence of n
        Subject or recording of each image.
    seed : int
        Of the resampling.

    Returns
    -------
    dict
        segmentation: DSC, HD; classification: Accuracy, F1_macro, F1_weighted, MCC, AUC, AUC_sound; detection: IoU;
        regression: MRE over visible points. Empty where no image can be scored.
    """

    def predicted(value: Value | Predicted | None) -> Predicted | None:
        return named_class(value) if isinstance(value, ClassProbabilities) else value

    cases = (
        Case(predicted(value), truth, group) for value, truth, group in zip(predictions, truths, groups, strict=True)
    )
    return judged(score_cases(task, cases, seed))


def judged(scores: TaskScores) -> dict[str, Metric]:
    """Return the official metrics that a model is judged by: MRE over visible points only."""
    metrics = dict(scores.official)
    if "MRE_sound" in metrics:
        metrics["MRE"] = metrics.pop("MRE_sound")
    elif scores.counts.get("hidden_points") == scores.counts["scored"]:
        metrics.pop("MRE", None)  # not one visible point
    return metrics
