"""The classification metrics of FM_UIA as functions of image weights, so that a thousand resamplings cost one call.

Each function returned by `classification_scores` takes weights (draws, n), how often each image counts in each draw,
and returns the metric of every draw. Weights of 1 give the plain metric, equal to scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]


def classification_scores(probabilities: Floats, truth: NDArray[np.int_], num_classes: int) -> dict[str, Statistic]:
    """Return the official metrics by name, each a function of weights (draws, n) giving (draws,) values.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, K)
    truth : ndarray of int, shape (n,)
        Class of every image, 0 to K-1.
    num_classes : int
        K.

    Returns
    -------
    dict
        Accuracy, F1_macro, F1_weighted, MCC; AUC, NaN where a class is missing from the truth; AUC_sound, the mean over
        the classes that are present. For two classes both AUCs look at the probability of class 1.
    """
    cell = truth * num_classes + probabilities.argmax(axis=1)
    onehot = np.eye(num_classes * num_classes)[cell]

    def confusion(weights: Floats) -> Floats:
        table: Floats = (weights @ onehot).reshape(-1, num_classes, num_classes)
        return table

    aucs = [_auc_of_class(probabilities[:, c], truth == c) for c in range(num_classes)]
    if num_classes == 2:
        aucs = [aucs[1]]  # as the scorer does

    def auc(weights: Floats) -> Floats:
        mean: Floats = np.mean([one(weights) for one in aucs], axis=0)
        return mean

    def auc_sound(weights: Floats) -> Floats:
        each = np.stack([one(weights) for one in aucs])
        present = ~np.isnan(each)
        total = np.where(present, each, 0.0).sum(axis=0)
        return _divide(total, present.sum(axis=0), np.nan)

    return {
        "Accuracy": lambda weights: _accuracy(confusion(weights)),
        "F1_macro": lambda weights: _f1(confusion(weights), weighted=False),
        "F1_weighted": lambda weights: _f1(confusion(weights), weighted=True),
        "MCC": lambda weights: _mcc(confusion(weights)),
        "AUC": auc,
        "AUC_sound": auc_sound,
    }


def _accuracy(confusion: Floats) -> Floats:
    return _divide(np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2)), np.nan)


def _f1(confusion: Floats, *, weighted: bool) -> Floats:
    """Return F1 averaged over the classes that occur in the truth or in the prediction."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    true, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    f1 = _divide(2 * hits, true + predicted, 0.0)
    share = true if weighted else (true + predicted > 0).astype(np.float64)
    return _divide((f1 * share).sum(axis=1), share.sum(axis=1), np.nan)


def _mcc(confusion: Floats) -> Floats:
    """Return Matthews' correlation coefficient for any number of classes; 0 where it is undefined."""
    true, predicted, n = confusion.sum(axis=2), confusion.sum(axis=1), confusion.sum(axis=(1, 2))
    hits = np.trace(confusion, axis1=1, axis2=2)
    covariance = hits * n - (true * predicted).sum(axis=1)
    spread = (n**2 - (predicted**2).sum(axis=1)) * (n**2 - (true**2).sum(axis=1))
    return _divide(covariance, np.sqrt(spread), 0.0)


def _auc_of_class(scores: Floats, positive: NDArray[np.bool_]) -> Statistic:
    """Return the area under the ROC curve of one class against the rest; NaN where either is missing."""
    order = np.argsort(scores, kind="stable")
    positive = positive[order]
    _, level = np.unique(scores[order], return_inverse=True)
    starts = np.flatnonzero(np.diff(level, prepend=-1))

    def auc(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        # A positive image beats the negatives of lower scores, and half of those of the same score.
        wins = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        losses = np.add.reduceat(sorted_weights * ~positive, starts, axis=1)
        below = np.cumsum(losses, axis=1) - losses / 2
        return _divide((wins * below).sum(axis=1), wins.sum(axis=1) * losses.sum(axis=1), np.nan)

    return auc


def _divide(numerator: Floats, denominator: Floats, otherwise: float) -> Floats:
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    quotient: Floats = np.divide(numerator, denominator, out=np.full(shape, otherwise), where=denominator > 0)
    return quotient
