"""What fine-tuning did to a task: the same held-out images before and after, compared image by image.

Two separate intervals overlap long after a difference is certain, because they hold the spread between subjects twice.
Here the change of each image is what is resampled, by whole subjects: a paired cluster bootstrap (Efron and Tibshirani,
An Introduction to the Bootstrap, 1993). A task is harmed when all of that interval lies on the worse side of zero and
the fall is more than a trifle, or when its figure left the interval that it had before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from m2dino.metrics import Metric, judged
from m2dino.network.card import HEADLINE, LOWER_IS_BETTER
from m2dino.scoring.bootstrap import Floats, Resampling
from m2dino.scoring.image_figures import ImageFigures
from m2dino.scoring.task_scores import TaskScores

TRIFLE = 0.005
"""The least fall that counts: of Dice, accuracy and IoU as it is, of a distance as a share of what it was."""


@dataclass(frozen=True)
class Change:
    """How the headline figure of a task moved on the same images.

    Attributes
    ----------
    metric : str
    before, after : float
    difference : Metric
        Mean of after - before over the images that both have, with its paired interval; NaN ends for one subject.
    subjects : int
    better : bool
        Whether all of the interval lies on the better side.
    harmed : bool
        See the head of this module. Of one subject, any fall that is more than a trifle counts.
    """

    metric: str
    before: float
    after: float
    difference: Metric
    subjects: int
    better: bool
    harmed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {
            "metric": self.metric,
            "before": self.before,
            "after": self.after,
            "difference": self.difference.to_dict(),
            "subjects": self.subjects,
            "better": self.better,
            "harmed": self.harmed,
        }

    def text(self) -> str:
        """Say it for a person: "DSC 0.910 -> 0.871, -0.039 (-0.052 to -0.027) over 23 images of 4 subjects"."""
        of = f"{self.difference.n} images of {self.subjects} subject{'' if self.subjects == 1 else 's'}"
        low, high = self.difference.low, self.difference.high
        interval = "" if math.isnan(low) else f" ({low:+.3f} to {high:+.3f})"
        moved = f"{self.before:.3f} -> {self.after:.3f}, {self.difference.value:+.3f}{interval}"
        return f"{self.metric} {moved} over {of}"


def compare(before: TaskScores, after: TaskScores, seed: int = 0) -> Change | None:
    """Compare two models on the same images of a task, given in the same order; None where nothing can be compared.

    Parameters
    ----------
    before, after : TaskScores
    seed : int
        Of the resampling.
    """
    task = before.task
    metric = HEADLINE[task.type]
    old, new = judged(before).get(metric), judged(after).get(metric)
    if old is None or new is None:
        return None
    groups = [image.group for image in before.images]
    table = _figures(after.images, metric) - _figures(before.images, metric)
    difference = Resampling(groups, seed).mean(table)
    if not difference.n:
        return None
    subjects = len({group for group, row in zip(groups, table, strict=True) if not np.isnan(row).all()})
    sign, unit = (-1.0, old.value) if metric in LOWER_IS_BETTER else (1.0, 1.0)
    trifle = TRIFLE * unit
    low, high = sorted((sign * difference.low, sign * difference.high))
    fall = -sign * difference.value
    sure = math.isnan(low) or high < 0 or _left(old, new.value, sign)
    harmed = fall > trifle and sure
    return Change(metric, old.value, new.value, difference, subjects, low > 0, harmed)


def _left(old: Metric, new: float, sign: float) -> bool:
    """Whether a figure is worse than all of the interval that it had before."""
    return new < old.low if sign > 0 else new > old.high


def _figures(images: tuple[ImageFigures, ...], metric: str) -> Floats:
    """Return the headline figure of each image, a column a class; NaN where there is none."""
    if metric == "Accuracy":
        right = [
            math.nan if i.predicted_class is None else float(i.predicted_class.chosen == i.true_class) for i in images
        ]
        return np.array(right, dtype=np.float64)[:, None]
    name = "MRE_sound" if metric == "MRE" else metric
    width = max((len(image.values.get(name, ())) for image in images), default=1) or 1
    absent = (math.nan,) * width
    return np.array([image.values.get(name, absent) for image in images], dtype=np.float64).reshape(-1, width)


def harmed(changes: Mapping[str, Change]) -> tuple[str, ...]:
    """Name the tasks that were harmed."""
    return tuple(sorted(name for name, change in changes.items() if change.harmed))


@dataclass(frozen=True)
class Verdict:
    """What the guard found; promotion over its objections has to be a deliberate act.

    Attributes
    ----------
    changes : dict of str to Change
        Every task that was measured before and after.
    harmed : tuple of str
        Tasks that became worse; the fine-tuned one may be among them.
    unmeasured : tuple of str
        Tasks that may have changed, and of which there was nothing to measure.
    doubts : tuple of str
        Sentences on labels that contradict what the base knew.
    stopped : bool
        Whether a stop is why tasks are unmeasured.
    """

    changes: dict[str, Change] = field(default_factory=dict)
    harmed: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    stopped: bool = False

    @property
    def objects(self) -> bool:
        """Whether the new model should not take the place of the old one unasked."""
        return bool(self.harmed or self.unmeasured or self.doubts)

    def warnings(self, task_id: str) -> list[str]:
        """Say in sentences what is wrong with a model that was fine-tuned for a task."""
        said = []
        if task_id in self.harmed:
            said.append(
                f"Fine-tuning {task_id} made it worse on held-out frames than the model it came from: "
                f"{self.changes[task_id].text()}."
            )
        if others := [name for name in self.harmed if name != task_id]:
            figures = "; ".join(f"{name}: {self.changes[name].text()}" for name in others)
            said.append(f"Fine-tuning {task_id} made other tasks worse: {figures}.")
        if self.unmeasured:
            why = (
                "it was stopped before all was measured"
                if self.stopped
                else "there was no held-out data to measure them on"
            )
            said.append(f"Fine-tuning {task_id} may have changed {', '.join(self.unmeasured)}: {why}.")
        return [*said, *self.doubts]
