"""One image to score: what was predicted, what is true, whose it is, and how large its pixels are."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from m2dino.scoring.bootstrap import Floats
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value


@dataclass(frozen=True, eq=False)
class ClassPrediction:
    """A class as a file of predictions tells it.

    Attributes
    ----------
    chosen : int
        The class that is named; accuracy, F1 and MCC look at this one.
    probabilities : ndarray of float, shape (K,), or None
        As written: finite, not negative, but not necessarily summing to 1.
    """

    chosen: int
    probabilities: Floats | None


Predicted = Mask | Box | Keypoints | ClassPrediction


@dataclass(frozen=True, eq=False)
class Case:
    """An image with its prediction and its label.

    Attributes
    ----------
    predicted : Mask, Box, Keypoints, ClassPrediction or None
        None where there is none.
    truth : Value
    group : hashable
        Subject or recording.
    pixel_mm : float or None
        Side of a pixel in mm, where it is known.
    """

    predicted: Predicted | None
    truth: Value
    group: Hashable
    pixel_mm: float | None = None


def named_class(value: ClassProbabilities) -> ClassPrediction:
    """Return class probabilities as a prediction of the most probable class."""
    return ClassPrediction(value.index, value.probabilities)
