"""The paper's claims, each held against the figures of a study: agreed with, not agreed with, or not to be told."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from m2dino.study.changes import over_seeds
from m2dino.study.summary import Line, Summary, TypeMean, common_seeds

LEAST_POINTS = 6


def grouping(summary: Summary) -> str:
    """Whether clinical likeness decides: pooling by group against pooling all."""
    of = {
        (line.paradigm, line.task): line.change.points
        for line in summary.pooling
        if line.scale == summary.plan.full and math.isfinite(line.change.points)
    }
    pairs = [(of["all-task", t], of[p, t]) for p, t in of if p == "clinically-grouped" and ("all-task", t) in of]
    pairs = [(all_tasks, group) for all_tasks, group in pairs if all_tasks != group]
    if not pairs:
        return ""
    ahead = sum(all_tasks > group for all_tasks, group in pairs)
    p = float(stats.binomtest(ahead, len(pairs)).pvalue)
    sure = "more than chance would give" if p < 0.05 else "no more than chance could give"
    return (
        f"Pooling all tasks came out ahead of the clinical group for {ahead} of {len(pairs)} tasks, {sure} (sign "
        f"test, p = {p:.2f}, tasks taken as independent, which they are not quite). The paper calls all-task "
        "training the more consistent choice."
    )


def types(summary: Summary) -> str:
    """Whether segmentation suffers most."""
    wanted = ("all-task", summary.plan.full, "task-specific")
    means = [mean for mean in summary.types if (mean.paradigm, mean.scale, mean.against) == wanted]
    if len(means) < 2:
        return ""
    listed = ", ".join(f"{mean.type} {_points(mean)}" for mean in means)
    worst = min(means, key=lambda mean: mean.points)
    apart = all(worst.by_seeds[1] < mean.by_seeds[0] for mean in means if mean is not worst)
    sure = "with an interval below all others" if apart else "but its interval overlaps with another, or is missing"
    if worst.type == "segmentation":
        claim = "The paper says the same of segmentation."
    elif any(mean.type == "segmentation" for mean in means):
        claim = "The paper says that segmentation suffers most; these figures do not."
    else:
        claim = "There is no segmentation task to look at the paper's claim that it suffers most."
    return (
        f"Mean change by type when all tasks are pooled: {listed}. {worst.type.capitalize()} comes out lowest, {sure}. "
        f"{claim} Points of a radial error are no hundredths of Dice, so ranks between types mean little by themselves."
    )


def more_data(summary: Summary) -> str:
    """Whether pooling pays more with more data: the same tasks at the smallest and the largest scale."""
    lines = _all_task(summary)
    scales = sorted({line.scale for line in lines})
    if len(scales) < 2:
        return ""
    small, large = ({line.task: line for line in lines if line.scale == scale} for scale in (scales[0], scales[-1]))
    tasks = [task for task in small if task in large]
    seeds = common_seeds([side[task] for task in tasks for side in (small, large)])
    if not seeds:
        return ""
    each = [float(np.mean([large[task].by_seed[seed] - small[task].by_seed[seed] for task in tasks])) for seed in seeds]
    low, high = over_seeds(each)
    if low > 0:
        shown = "so pooling pays more with more data, which is what the paper says"
    elif high < 0:
        shown = "so pooling pays less with more data, which is not what the paper says"
    else:
        shown = "which shows neither that pooling pays more with more data, as the paper says, nor that it does not"
    interval = f" ({low:+.1f} to {high:+.1f} over seeds)" if math.isfinite(low) else " (one seed)"
    return (
        f"From {100 * scales[0]:g} % to {100 * scales[-1]:g} % of the subjects the mean change by pooling all tasks "
        f"moves by {np.mean(each):+.1f} points{interval}, {shown}."
    )


def own_rows(summary: Summary) -> str:
    """Whether tasks with little data of their own gain more or less."""
    lines = _all_task(summary)
    if len(lines) < LEAST_POINTS or len({line.rows for line in lines}) < 3:
        return ""
    found = stats.spearmanr([line.rows for line in lines], [line.change.points for line in lines])
    rho, p = float(found.statistic), float(found.pvalue)
    if not math.isfinite(rho):
        return ""
    shown = f"those with more gain {'more' if rho > 0 else 'less'}" if p < 0.05 else "neither way is shown"
    return (
        f"Over {len(lines)} pairs of task and scale, the change by pooling all tasks goes with the number of the "
        f"task's own rows by a rank correlation of {rho:+.2f} (p = {p:.2f}, pairs taken as independent): {shown}."
    )


def _all_task(summary: Summary) -> Sequence[Line]:
    return [line for line in summary.pooling if line.paradigm == "all-task" and math.isfinite(line.change.points)]


def _points(mean: TypeMean) -> str:
    text = f"{mean.points:+.1f} points"
    if math.isfinite(mean.by_seeds[0]):
        text += f" ({mean.by_seeds[0]:+.1f} to {mean.by_seeds[1]:+.1f})"
    return text
