"""The figures of a task from those of its images: the official ones, and what a clinician asks for beside them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from m2dino.classification_metrics import Classified, classification_scores, clinical_scores, f1_by_class
from m2dino.scoring.bootstrap import Metric, Resampling, Statistic
from m2dino.scoring.cases import Case
from m2dino.scoring.image_figures import ImageFigures, image_figures
from m2dino.tasks import Task

OFFICIAL = {
    "segmentation": ("DSC", "HD"),
    "classification": ("Accuracy", "F1_macro", "F1_weighted", "MCC", "AUC"),
    "detection": ("IoU",),
    "regression": ("MRE",),
}
"""Official metrics by type of task, in the order in which they are shown."""


@dataclass(frozen=True)
class TaskScores:
    """The figures of one task.

    Attributes
    ----------
    task : Task
    official : dict of str to Metric
        Official names, and with the ending `_sound` what stands beside one that a quirk may spoil: AUC_sound; MRE_sound
        where a true point is not visible. Empty where no image could be scored.
    clinical : dict of str to Metric
        The rest; the unit is the name's last word (px, mm, percent).
    per_class : dict of str to float
        Figures of single classes, named "metric (class)".
    counts : dict of str to int
        images, scored, missing, subjects, and what else there is to remark on.
    images : tuple of ImageFigures
        In the order of the cases.
    """

    task: Task
    official: dict[str, Metric]
    clinical: dict[str, Metric]
    per_class: dict[str, float]
    counts: dict[str, int]
    images: tuple[ImageFigures, ...]


def score_cases(task: Task, cases: Iterable[Case], seed: int = 0) -> TaskScores:
    """Score the images of one task."""
    return summarise(task, [image_figures(task, case) for case in cases], seed)


def summarise(task: Task, images: Sequence[ImageFigures], seed: int = 0) -> TaskScores:
    """Return the figures of a task from those of its images; `seed` is of the resampling."""
    counts = Counter({"images": len(images), "scored": sum(image.scored for image in images)})
    counts["subjects"] = len({image.group for image in images if image.scored})
    counts["missing"] = counts["images"] - counts["scored"]
    counts.update(remark for image in images for remark in image.remarks)
    if task.type == "classification":
        return _classification(task, images, counts, seed)
    resampling = Resampling([image.group for image in images], seed)
    names = list(dict.fromkeys(name for image in images for name in image.values))
    width = max((len(value) for image in images for value in image.values.values()), default=1)
    absent = (math.nan,) * width
    tables = {name: np.array([image.values.get(name, absent) for image in images]) for name in names}
    if "MRE_sound" in tables and not counts["hidden_points"]:
        del tables["MRE_sound"]
    if not any(image.axes_cross for image in images) or any(image.axes_cross is False for image in images):
        tables = {name: table for name, table in tables.items() if not name.startswith("circumference_")}
    metrics = {name: resampling.mean(table) for name, table in tables.items()}
    official = [name for name in tables if name in OFFICIAL[task.type] or name.endswith("_sound")]
    per_class: dict[str, float] = {}
    if width > 1:
        for name in official:
            means = tables[name].sum(axis=0, where=~np.isnan(tables[name])) / max(1, counts["scored"])
            labels = task.label_names[1:]
            per_class |= {f"{name} ({label})": float(mean) for label, mean in zip(labels, means, strict=True)}
    return TaskScores(
        task,
        {name: metrics[name] for name in official if metrics[name].n},
        {name: metric for name, metric in metrics.items() if name not in official and metric.n},
        per_class,
        dict(counts),
        tuple(images),
    )


def classified(task: Task, images: Iterable[ImageFigures]) -> Classified | None:
    """Return the classes of the images that have a prediction; None where none has."""
    scored = [image for image in images if image.predicted_class is not None]
    if not scored:
        return None
    told = [image.predicted_class for image in scored if image.predicted_class is not None]
    probabilities = [one.probabilities for one in told if one.probabilities is not None]
    return Classified(
        np.array([one.chosen for one in told], dtype=np.intp),
        np.array([image.true_class for image in scored], dtype=np.intp),
        task.num_classes,
        np.stack(probabilities).astype(np.float64) if len(probabilities) == len(told) else None,
    )


def _classification(task: Task, images: Sequence[ImageFigures], counts: Counter[str], seed: int) -> TaskScores:
    cases = classified(task, images)
    if cases is None:
        return TaskScores(task, {}, {}, {}, dict(counts), tuple(images))
    sums = [
        one.probabilities.sum() for one in (i.predicted_class for i in images) if one and one.probabilities is not None
    ]
    counts["without_probabilities"] = counts["scored"] - len(sums)
    counts["not_summing_to_1"] = int((~np.isclose(1, sums)).sum())
    counts["classes_absent"] = task.num_classes - len(np.unique(cases.truth))
    resampling = Resampling([image.group for image in images if image.scored], seed)
    whole = np.ones((1, len(cases.truth)))

    def metric(name: str, statistic: Statistic) -> Metric:
        value = float(statistic(whole)[0])
        if name == "AUC" and math.isnan(value):
            value = 0.0  # what the scorer records when its library refuses
        return Metric(value, *resampling.interval(statistic), len(cases.truth))

    listed, sound = f1_by_class(cases)
    per_class = {f"F1_official ({label})": float(f1) for label, f1 in zip(task.label_names, listed, strict=True)}
    per_class |= {f"F1 ({label})": float(f1) for label, f1 in zip(task.label_names, sound, strict=True)}
    return TaskScores(
        task,
        {name: metric(name, statistic) for name, statistic in classification_scores(cases).items()},
        {name: metric(name, statistic) for name, statistic in clinical_scores(cases, task.label_names).items()},
        per_class,
        {name: count for name, count in counts.items() if count or name == "missing"},
        tuple(images),
    )
