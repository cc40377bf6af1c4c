"""How much better or worse a task does than in another network, and how sure that is.

Two things make such a change uncertain, and each gets its interval. *Subjects*: on others it would have been another; a
cluster bootstrap of the change image by image, averaged over seeds, tells how much. *Seeds*: so it would have been with
other first weights, batches and draws of the data; Student's t over the seeds tells how much, wide as it is with two or
three. A change counts as shown only if both intervals leave out zero on the same side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from m2dino.network.card import LOWER_IS_BETTER
from m2dino.scoring.bootstrap import Resampling
from m2dino.study.results import Figure

Verdict = Literal["gain", "loss", "gain not shown", "loss not shown", "no change"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Change:
    """A change of one task; more is always better.

    Attributes
    ----------
    metric : str
    value, reference : float
        The metric here and there, means over images and seeds.
    change : float
        In units of the metric; turned round where less is better.
    relative : float
        In percent of the reference, as the paper tells it; beware of references near zero.
    points : float
        For means and plots: hundredths of Dice, accuracy or IoU; of a radial error, percent of the reference.
    by_subjects, by_seeds : (float, float)
        95 % intervals of `change`; NaN where there is only one subject or one seed.
    each_seed : tuple of float
        The points of each seed.
    """

    metric: str
    value: float
    reference: float
    change: float
    relative: float
    points: float
    by_subjects: Interval
    by_seeds: Interval
    each_seed: tuple[float, ...]

    def in_points(self, interval: Interval) -> Interval:
        """Return an interval of `change` on the scale of `points`."""
        factor = 100.0
        if self.metric in LOWER_IS_BETTER:
            factor = 100 / abs(self.reference) if self.reference else math.nan
        return (interval[0] * factor, interval[1] * factor)

    @property
    def verdict(self) -> Verdict:
        """What may be said of it; a gain or a loss only if both intervals say so."""
        if self.change > 0:
            return "gain" if _above(self.by_subjects) and _above(self.by_seeds) else "gain not shown"
        if self.change < 0:
            return "loss" if _below(self.by_subjects) and _below(self.by_seeds) else "loss not shown"
        return "no change"


def _above(interval: Interval) -> bool:
    return interval[0] > 0


def _below(interval: Interval) -> bool:
    return interval[1] < 0


def change(here: Sequence[Figure], there: Sequence[Figure]) -> Change | None:
    """Compare a task's figures, seed by seed, with those of another network; None where there is nothing to compare.

    Parameters
    ----------
    here, there : sequences of Figure
        One a seed, of the same seeds and images in the same order.
    """
    if not here or len(here) != len(there) or any(a.subjects != b.subjects for a, b in zip(here, there, strict=True)):
        return None
    metric = here[0].metric
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    ours, theirs = (np.array([figure.images for figure in figures], dtype=float) for figures in (here, there))
    known = ~np.isnan(ours + theirs).any(axis=0)
    if not known.any():
        return None
    ours, theirs = ours[:, known], theirs[:, known]
    by_image = sign * (ours - theirs)
    reference = float(theirs.mean())
    groups = np.array(here[0].subjects)[known]
    subjects = Resampling(groups.tolist()).mean(by_image.mean(axis=0)[:, None])
    per_cent = 100 / abs(reference) if reference else math.nan
    to_points = per_cent if metric in LOWER_IS_BETTER else 100.0
    each = by_image.mean(axis=1)
    return Change(
        metric,
        float(ours.mean()),
        reference,
        float(by_image.mean()),
        float(by_image.mean() * per_cent),
        float(by_image.mean() * to_points),
        (subjects.low, subjects.high),
        over_seeds(each),
        tuple(float(value * to_points) for value in each),
    )


def over_seeds(values: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Interval:
    """Return the 95 % interval of the mean of values, one a seed, by Student's t; NaN for one."""
    count = len(values)
    if count < 2:
        return (math.nan, math.nan)
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return (mean - half, mean + half)
