"""A figure with its 95 % interval, by resampling whole subjects: images of one subject are not independent."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
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


class Resampling:
    """A thousand resamplings of whole groups, the same for every figure of a task.

    Percentile intervals of the cluster bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.

    Parameters
    ----------
    groups : sequence of n hashable
        Subject or recording of each image.
    seed : int
    draws : int
    """

    def __init__(self, groups: Sequence[Hashable], seed: int = 0, draws: int = DRAWS) -> None:
        index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
        self._group = np.array([index[group] for group in groups], dtype=np.intp)
        self._count = len(index)
        if self._count:
            shares = [1 / self._count] * self._count
            self._weights = np.random.default_rng(seed).multinomial(self._count, shares, size=draws).astype(np.float64)

    @property
    def weights(self) -> Floats:
        """How often each image counts in each draw, (draws, n)."""
        return self._weights[:, self._group]

    def interval(self, statistic: Statistic) -> tuple[float, float]:
        """Return the interval of a function of image weights, (draws, n) giving (draws,); NaN for one group."""
        return self._ends(statistic(self.weights)) if self._count > 1 else (math.nan, math.nan)

    def mean(self, values: Floats) -> Metric:
        """Return the mean over images, then over columns, with its interval.

        Parameters
        ----------
        values : ndarray, shape (n, C)
            A row an image, a column a class. NaN is left out; a column of nothing else as well.
        """
        known = ~np.isnan(values)
        n = int(known.any(axis=1).sum())
        if not n:
            return Metric(math.nan, math.nan, math.nan, 0)
        totals = np.stack([np.bincount(self._group, column, self._count) for column in np.where(known, values, 0.0).T])
        counts = np.stack([np.bincount(self._group, column, self._count) for column in known.T.astype(np.float64)])
        value = float(_mean_of_ratios(totals.sum(axis=1)[None], counts.sum(axis=1)[None])[0])
        if self._count < 2:
            return Metric(value, math.nan, math.nan, n)
        return Metric(value, *self._ends(_mean_of_ratios(self._weights @ totals.T, self._weights @ counts.T)), n)

    @staticmethod
    def _ends(drawn: Floats) -> tuple[float, float]:
        drawn = drawn[~np.isnan(drawn)]
        if not drawn.size:
            return (math.nan, math.nan)
        low, high = np.quantile(drawn, [0.025, 0.975])
        return (float(low), float(high))


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
    metric = Resampling(groups, seed).mean(np.asarray(values, dtype=np.float64)[:, None])
    return (metric.low, metric.high)


def _mean_of_ratios(totals: Floats, counts: Floats) -> Floats:
    """Return the mean over columns of totals / counts, (draws, C) giving (draws,), columns without a count left out."""
    present = counts > 0
    ratios = np.divide(totals, counts, out=np.zeros_like(totals), where=present)
    columns = present.sum(axis=1)
    mean: Floats = np.divide(ratios.sum(axis=1), columns, out=np.full(len(columns), np.nan), where=columns > 0)
    return mean
