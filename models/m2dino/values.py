"""The values that the model predicts and a person corrects, and the prediction that carries one.

All coordinates are original-frame pixels in (y, x) order, where pixel (0, 0) covers the square from -0.5 to +0.5, as
in napari. Every type is immutable: arrays are copied and set read-only, so a prediction can be shared by threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TaskType = Literal["segmentation", "classification", "detection", "regression"]


def _frozen(array: NDArray[np.generic], dtype: type[np.generic]) -> NDArray[np.generic]:
    copy = np.array(array, dtype=dtype, copy=True)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class Mask:
    """A class-index mask of one frame.

    Attributes
    ----------
    labels : ndarray of uint8, shape (H, W)
        Class index of every pixel of the original frame; 0 is background.
    """

    labels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        array = np.asarray(self.labels)
        if array.ndim != 2:
            raise ValueError(f"a mask is (H, W), not {array.shape}")
        object.__setattr__(self, "labels", _frozen(array, np.uint8))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and np.array_equal(self.labels, other.labels)

    __hash__ = None  # type: ignore[assignment]  # arrays inside: comparing is meant, hashing is not


@dataclass(frozen=True)
class Box:
    """One box, (y_min, x_min, y_max, x_max) in original-frame pixels; the end is exclusive."""

    y_min: float
    x_min: float
    y_max: float
    x_max: float

    def __post_init__(self) -> None:
        if not all(np.isfinite([self.y_min, self.x_min, self.y_max, self.x_max])):
            raise ValueError(f"a box needs finite edges: {self}")
        if self.y_max < self.y_min or self.x_max < self.x_min:
            raise ValueError(f"a box must not be inside out: {self}")

    def as_tuple(self) -> tuple[float, float, float, float]:
        return (self.y_min, self.x_min, self.y_max, self.x_max)


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Named measurement points of one frame.

    Attributes
    ----------
    points : ndarray of float64, shape (K, 2)
        (y, x) of every point of the task, in the task's order; a row of NaN means "not visible".
    """

    points: NDArray[np.float64]

    def __post_init__(self) -> None:
        array = np.asarray(self.points, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"keypoints are (K, 2), not {array.shape}")
        array = np.where(np.isnan(array).any(axis=1, keepdims=True), np.nan, array)
        object.__setattr__(self, "points", _frozen(array, np.float64))

    def inside(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return of each point, (K,), whether it lies on a frame of (height, width); False of one not visible."""
        with np.errstate(invalid="ignore"):
            return np.asarray(((self.points >= -0.5) & (self.points <= np.array(size) - 0.5)).all(axis=1))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keypoints) and np.array_equal(self.points, other.points, equal_nan=True)

    __hash__ = None  # type: ignore[assignment]  # arrays inside: comparing is meant, hashing is not


@dataclass(frozen=True, eq=False)
class ClassProbabilities:
    """The class of a frame.

    Attributes
    ----------
    probabilities : ndarray of float64, shape (K,)
        Non-negative, summing to 1. A person's choice is one-hot: see `certain`.
    """

    probabilities: NDArray[np.float64]

    def __post_init__(self) -> None:
        array = np.asarray(self.probabilities, dtype=np.float64)
        if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all() or (array < 0).any():
            raise ValueError("class probabilities are a non-empty vector of non-negative numbers")
        total = array.sum()
        if not np.isclose(total, 1.0, atol=1e-3):
            raise ValueError(f"class probabilities sum to {total}, not 1")
        # Left alone when already normalised to rounding, so that values written out and read back stay equal.
        normal = array if abs(total - 1.0) < 1e-12 else array / total
        object.__setattr__(self, "probabilities", _frozen(normal, np.float64))

    @classmethod
    def certain(cls, index: int, num_classes: int) -> ClassProbabilities:
        """Return the one-hot value of a person who chose class `index`."""
        if not 0 <= index < num_classes:
            raise ValueError(f"class {index} is not one of 0..{num_classes - 1}")
        return cls(np.eye(num_classes)[index])

    @property
    def index(self) -> int:
        """The most probable class."""
        return int(np.argmax(self.probabilities))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassProbabilities) and np.array_equal(self.probabilities, other.probabilities)

    __hash__ = None  # type: ignore[assignment]  # arrays inside: comparing is meant, hashing is not


Value = Mask | Box | Keypoints | ClassProbabilities


def type_of(value: Value) -> TaskType:
    """Return the task type that a value belongs to."""
    if isinstance(value, Mask):
        return "segmentation"
    if isinstance(value, Box):
        return "detection"
    if isinstance(value, Keypoints):
        return "regression"
    return "classification"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one frame for one task.

    Attributes
    ----------
    frame : int
        Index of the frame in its loop, from 0.
    task_id : str
    value : Mask, Box, Keypoints or ClassProbabilities
    confidence : float
        In [0, 1]; comparable between frames of one task and model, not between tasks.
    model_id : str
        Id of the checkpoint that made it (`ModelCard.id`).
    """

    frame: int
    task_id: str
    value: Value
    confidence: float
    model_id: str
