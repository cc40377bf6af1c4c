"""The classification metrics of FM_UIA as functions of image weights, so that a thousand resamplings cost one call.

Each function takes weights (draws, n), how often each image counts in each draw, and returns the metric of every draw.
Weights of 1 give the plain metric, equal to scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2dino.scoring.bootstrap import Floats, Statistic

ECE_BINS = 15


@dataclass(frozen=True)
class Classified:
    """The classes of n images, as told and as true.

    Attributes
    ----------
    chosen : ndarray of int, shape (n,)
        The class that a prediction names; for a model, the most probable one.
    truth : ndarray of int, shape (n,)
        0 to K-1.
    num_classes : int
        K.
    probabilities : ndarray of float, shape (n, K), or None
        As given: they need not sum to 1. None where some prediction has none.
    """

    chosen: NDArray[np.intp]
    truth: NDArray[np.intp]
    num_classes: int
    probabilities: Floats | None

    def confusion(self) -> Statistic:
        """Return the table of weights by (true class, chosen class), (draws, K, K), as a function of weights."""
        cells = self.num_classes * self.num_classes
        onehot = np.eye(cells)[self.truth * self.num_classes + self.chosen]

        def table(weights: Floats) -> Floats:
            result: Floats = (weights @ onehot).reshape(-1, self.num_classes, self.num_classes)
            return result

        return table


def classification_scores(cases: Classified) -> dict[str, Statistic]:
    """Return the official metrics by name, each a function of weights (draws, n) giving (draws,) values.

    Returns
    -------
    dict
        Accuracy, F1_macro, F1_weighted, MCC; AUC, NaN where a class is missing from the truth; AUC_sound, the mean over
        the classes that are present, from probabilities divided by their sum. For two classes both AUCs look at the
        probability of class 1. AUC is NaN too where scikit-learn refuses the probabilities: for more than two classes,
        those that do not sum to 1. No AUC without probabilities.
    """
    confusion = cases.confusion()
    scores: dict[str, Statistic] = {
        "Accuracy": lambda weights: _accuracy(confusion(weights)),
        "F1_macro": lambda weights: _f1(confusion(weights), weighted=False),
        "F1_weighted": lambda weights: _f1(confusion(weights), weighted=True),
        "MCC": lambda weights: _mcc(confusion(weights)),
    }
    if cases.probabilities is None:
        return {**scores, "AUC": _unknown, "AUC_sound": _unknown}
    raw, binary = cases.probabilities, cases.num_classes == 2
    official = _aucs(raw, cases)
    refused = not binary and not np.allclose(1, raw.sum(axis=1))
    aucs = _aucs(normalised(raw), cases)

    def auc(weights: Floats) -> Floats:
        mean: Floats = np.mean([one(weights) for one in official], axis=0)
        return mean

    def auc_sound(weights: Floats) -> Floats:
        each = np.stack([one(weights) for one in aucs])
        present = ~np.isnan(each)
        total = np.where(present, each, 0.0).sum(axis=0)
        return _divide(total, present.sum(axis=0), np.nan)

    return {**scores, "AUC": _unknown if refused else auc, "AUC_sound": auc_sound}


def clinical_scores(cases: Classified, names: Sequence[str]) -> dict[str, Statistic]:
    """Return what a clinician asks for, each a function of weights (draws, n) giving (draws,) values.

    Parameters
    ----------
    cases : Classified
    names : sequence of K str
        Of the classes.

    Returns
    -------
    dict
        Balanced_accuracy, the mean of the sensitivities of the classes that are present; `Sensitivity (name)` and
        `Specificity (name)` of every class against the rest, of two classes only for the second; ECE, unless
        probabilities are missing.
    """
    confusion = cases.confusion()

    def balanced(weights: Floats) -> Floats:
        table = confusion(weights)
        recalls = _divide(np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), np.nan)
        present = ~np.isnan(recalls)
        return _divide(np.where(present, recalls, 0.0).sum(axis=1), present.sum(axis=1), np.nan)

    scores: dict[str, Statistic] = {"Balanced_accuracy": balanced}
    for index in range(1 if cases.num_classes == 2 else 0, cases.num_classes):
        scores[f"Sensitivity ({names[index]})"] = _one_rate(confusion, index, positive=True)
        scores[f"Specificity ({names[index]})"] = _one_rate(confusion, index, positive=False)
    if cases.probabilities is not None:
        scores["ECE"] = calibration_error(cases)
    return scores


def calibration_error(cases: Classified, bins: int = ECE_BINS) -> Statistic:
    """Return the expected calibration error, a function of weights (draws, n) giving (draws,) values in [0, 1].

    Images are put into equally wide bins of the probability of the chosen class; the error is the mean over images of
    |share that is right - mean probability| of their bin. Guo et al., On Calibration of Modern Neural Networks, ICML
    2017, with their 15 bins. Resampling adds noise to every bin, so an interval may lie above the value.
    """
    confidence, right = confidences(cases)
    gaps = np.zeros((len(right), bins))
    gaps[np.arange(len(right)), bin_of(confidence, bins)] = confidence - right

    def error(weights: Floats) -> Floats:
        return _divide(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1), np.nan)

    return error


def confidences(cases: Classified) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the probability of every chosen class, (n,), and whether it is the true one, (n,)."""
    if cases.probabilities is None:
        raise ValueError("no probabilities")
    chosen = np.take_along_axis(normalised(cases.probabilities), cases.chosen[:, None], axis=1)[:, 0]
    return chosen, cases.chosen == cases.truth


def bin_of(confidence: Floats, bins: int = ECE_BINS) -> NDArray[np.intp]:
    """Return the bin of every confidence, of `bins` equally wide ones over (0, 1], the upper edge included."""
    return np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)


def f1_by_class(cases: Classified) -> tuple[Floats, Floats]:
    """Return F1 of every class, (K,): as the challenge's scorer lists it, and as it is.

    The scorer asks scikit-learn for F1 of the classes that occur, and takes their position in that list for the class:
    where a class occurs neither in the truth nor in the predictions, those after it move up, and the last are 0.
    """
    table = cases.confusion()(np.ones((1, len(cases.truth))))[0]
    occurs = table.sum(axis=0) + table.sum(axis=1)
    sound = _divide(2 * np.diagonal(table), occurs, 0.0)
    listed = np.zeros(cases.num_classes)
    present = sound[occurs > 0]
    listed[: len(present)] = present
    return listed, sound


def normalised(probabilities: Floats) -> Floats:
    """Return probabilities, (n, K), those that do not sum to 1 divided by their sum; equal ones where all are 0."""
    sums = probabilities.sum(axis=1, keepdims=True)
    # Dividing by what is 1 but for rounding would tear apart images of equal probability, a tie to the AUC.
    divisors = np.where(np.isclose(1, sums), 1.0, sums)
    return _divide(probabilities, divisors, 1 / probabilities.shape[1])


def _unknown(weights: Floats) -> Floats:
    return np.full(len(weights), np.nan)


def _aucs(probabilities: Floats, cases: Classified) -> list[Statistic]:
    classes = [1] if cases.num_classes == 2 else range(cases.num_classes)  # two classes: as the scorer does
    return [_auc_of_class(probabilities[:, c], cases.truth == c) for c in classes]


def _one_rate(confusion: Statistic, index: int, *, positive: bool) -> Statistic:
    def rate(weights: Floats) -> Floats:
        table = confusion(weights)
        if positive:
            return _divide(table[:, index, index], table[:, index].sum(axis=1), np.nan)
        others = np.delete(table, index, axis=1)
        return 1 - _divide(others[:, :, index].sum(axis=1), others.sum(axis=(1, 2)), np.nan)

    return rate


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
