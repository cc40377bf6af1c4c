"""Whether labels contradict what a model knows of their task.

A set whose labels are upside down, of other frames or of another class is learnt as gladly as a good one, and held-out
frames of the same set would praise the result. But the model that it starts from knows the task. So its answers are
compared with the labels as they are, and with what the labels would be had they been turned, moved, taken from
another frame or named otherwise. Labels that fit well only after such a change, and labels that fit hardly better than
those of other frames, are doubted: a person should look.

Limits: a mirror image of something symmetric cannot be told, nor a frame from its neighbour; labels of a task that the
model does not know are not judged at all; and pictures of a kind that the model never saw look like wrong labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from m2dino.network.card import HEADLINE, LOWER_IS_BETTER, TaskReport
from m2dino.scoring.geometry import iou, radial_error
from m2dino.tasks import Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

Floats = NDArray[np.float64]
Item = TypeVar("Item")
Agree = Callable[[Value, Value], float]
MOST = 24
"""Frames that are compared at most: enough to tell, and quick."""
GAIN = 0.1
"""What a change has to add to the mean agreement before the labels are doubted."""
CLEAR_GAIN = 0.25
"""What it has to add on a single frame, for that frame to be doubted."""
FITS = 0.8
"""Of the agreement that the model's card promises: what the changed labels have to reach."""
SHARE = 0.15
"""Of the frames: so many doubtful ones, and at least two, make the set doubtful."""
SIDE = 96
"""Masks are compared at this size, px: coarse faults are looked for."""


@dataclass(frozen=True)
class Compared:
    """A frame's label and what the model says of the frame.

    Attributes
    ----------
    size : (int, int)
        Height and width of the frame, px.
    predicted, label : Value
        In original-frame pixels.
    """

    size: tuple[int, int]
    predicted: Value
    label: Value


def spread(items: Sequence[Item]) -> list[Item]:
    """Return at most `MOST` of some items, evenly spread."""
    if len(items) <= MOST:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, MOST).round().astype(int)]


def suspicion(report: TaskReport, frames: Sequence[Compared]) -> str:
    """Say that labels contradict what a model knew of a task; empty where they do not, or nothing can be said.

    Parameters
    ----------
    report : TaskReport
        What the model's card says of the task.
    frames : sequence of Compared
        Of these, `MOST` are looked at, evenly spread.
    """
    task, name = report.task, HEADLINE[report.task.type]
    promised = report.metrics.get(name)
    if promised is None or not np.isfinite(promised.value) or len(frames) < 2:
        return ""
    frames = spread(frames)
    agree = _agreement(task, promised.value)
    card = 0.5 if name in LOWER_IS_BETTER else promised.value
    small = [_small(frame) for frame in frames]
    given = np.array([agree(frame.predicted, frame.label) for frame in small])
    if given.mean() >= card:  # as good as was promised; a slip that is the same on all frames is the model's own
        return ""
    best, said = 0.0, ""
    for words, changed in _changes(task, small, agree):
        fits = np.array([agree(frame.predicted, label) for frame, label in zip(small, changed, strict=True)])
        gain = fits - given
        if fits.mean() >= FITS * card and gain.mean() >= GAIN and gain.mean() > 2 * _error(gain) and gain.mean() > best:
            best, said = gain.mean(), f"{_figure(fits.mean())} {words}"
        clear = (gain >= CLEAR_GAIN) & (fits >= FITS * card)
        # Of classes every slip of the model would be one.
        if task.type != "classification" and clear.sum() >= max(2, SHARE * len(frames)) and clear.mean() > best:
            best, said = clear.mean(), f"on {clear.sum()} of {len(frames)} frames much better {words}"
    if said:
        return (
            f"The model that it started from agrees with these labels to {_figure(given.mean())}, and {said}: they "
            "may be wrong. Look at some of them before you use the new model."
        )
    chance = _chance(agree, small)
    # Where labels of other frames fit as well, as on a loop that hardly moves, they tell nothing: a model that does a
    # little worse here than on its own data, which is why it is fine-tuned, would have sound labels doubted.
    if given.mean() < min((min(chance, card) + card) / 2, FITS * card):
        return (
            f"The model that it started from agrees with these labels to {_figure(given.mean())}; on the data that it "
            f"was validated on to {_figure(card)}, and with labels of other frames to {_figure(chance)}: either these "
            "frames are of another kind, or their labels are of another class or of other frames. Look at some of them "
            "before you use the new model."
        )
    return ""


def _figure(value: float) -> str:
    return f"{100 * value:.0f} %"


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _agreement(task: Task, promised: float) -> Agree:
    """Return how far two values agree, from 0 to 1; of points, a distance as promised is a half."""

    def agree(predicted: Value, label: Value) -> float:
        if isinstance(predicted, Mask) and isinstance(label, Mask):
            return _dice(predicted.labels, label.labels, task.num_classes)
        if isinstance(predicted, Box) and isinstance(label, Box):
            return iou(predicted, label)
        if isinstance(predicted, Keypoints) and isinstance(label, Keypoints):
            error = radial_error(predicted, label)
            return 0.0 if np.isnan(error) else 1 / (1 + error / max(promised, 1e-6))
        assert isinstance(predicted, ClassProbabilities)
        assert isinstance(label, ClassProbabilities)
        return float(predicted.index == label.index)

    return agree


def _dice(one: NDArray[np.uint8], other: NDArray[np.uint8], classes: int) -> float:
    """Return the mean Dice over the classes that one of the two has; 1 where both are empty."""
    found = []
    for k in range(1, classes):
        a, b = one == k, other == k
        total = int(a.sum()) + int(b.sum())
        if total:
            found.append(2 * int((a & b).sum()) / total)
    return float(np.mean(found)) if found else 1.0


def _small(frame: Compared) -> Compared:
    """Shrink masks; all else stays."""

    def shrunk(value: Value) -> Value:
        if not isinstance(value, Mask):
            return value
        height, width = value.labels.shape
        rows = (np.arange(SIDE) + 0.5) * height / SIDE
        columns = (np.arange(SIDE) + 0.5) * width / SIDE
        return Mask(value.labels[rows.astype(int)[:, None], columns.astype(int)[None, :]])

    return Compared(frame.size, shrunk(frame.predicted), shrunk(frame.label))


def _changes(task: Task, frames: Sequence[Compared], agree: Agree) -> Iterator[tuple[str, list[Value]]]:
    """Yield what the labels would be after each change, and words for it."""
    if task.type != "classification":
        for words, down, across in (
            ("with them turned upside down", True, False),
            ("with them mirrored", False, True),
            ("with them turned by half", True, True),
        ):
            yield words, [_flipped(frame.label, frame.size, down, across) for frame in frames]
        yield "with all of them moved alike", _moved(frames)
    for one, other in combinations(range(task.num_classes), 2):
        if task.type != "detection":
            names = f"{task.labels[one].name} and {task.labels[other].name}"
            yield f"with {names} swapped", [_swapped(frame.label, one, other) for frame in frames]
    if task.type != "classification":  # there a few classes fit any frame
        table = np.array([[agree(frame.predicted, other.label) for other in frames] for frame in frames])
        _, order = linear_sum_assignment(-table)
        yield "with those of other frames", [frames[j].label for j in order]


def _flipped(label: Value, size: tuple[int, int], down: bool, across: bool) -> Value:
    height, width = size
    if isinstance(label, Mask):
        return Mask(label.labels[:: -1 if down else 1, :: -1 if across else 1])
    if isinstance(label, Box):
        top, left, bottom, right = label.as_tuple()
        if down:
            top, bottom = height - bottom, height - top
        if across:
            left, right = width - right, width - left
        return Box(top, left, bottom, right)
    assert isinstance(label, Keypoints)
    points = np.array(label.points)
    if down:
        points[:, 0] = height - 1 - points[:, 0]
    if across:
        points[:, 1] = width - 1 - points[:, 1]
    return Keypoints(points)


def _centre(value: Value) -> Floats:
    """Return the middle of a value, (y, x); NaN where it is empty."""
    if isinstance(value, Mask):
        where = np.nonzero(value.labels)
        return np.array([axis.mean() if len(axis) else np.nan for axis in where])
    if isinstance(value, Box):
        return np.array([(value.y_min + value.y_max) / 2, (value.x_min + value.x_max) / 2])
    assert isinstance(value, Keypoints)
    seen = value.points[~np.isnan(value.points).any(axis=1)]
    return seen.mean(axis=0) if len(seen) else np.full(2, np.nan)


def _moved(frames: Sequence[Compared]) -> list[Value]:
    """Move all labels by the median way from them to what the model says."""
    ways = np.array([_centre(frame.predicted) - _centre(frame.label) for frame in frames])
    ways = ways[~np.isnan(ways).any(axis=1)]
    dy, dx = np.median(ways, axis=0) if len(ways) else (0.0, 0.0)
    return [_shifted(frame.label, dy, dx) for frame in frames]


def _shifted(label: Value, dy: float, dx: float) -> Value:
    if isinstance(label, Mask):
        down, right = round(dy), round(dx)
        height, width = label.labels.shape
        moved = np.zeros_like(label.labels)
        moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = label.labels[
            max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
        ]
        return Mask(moved)
    if isinstance(label, Box):
        return Box(label.y_min + dy, label.x_min + dx, label.y_max + dy, label.x_max + dx)
    assert isinstance(label, Keypoints)
    return Keypoints(label.points + np.array([dy, dx]))


def _swapped(label: Value, one: int, other: int) -> Value:
    if isinstance(label, Mask):
        table = np.arange(256, dtype=np.uint8)
        table[[one, other]] = other, one
        return Mask(table[label.labels])
    if isinstance(label, Keypoints):
        points = np.array(label.points)
        points[[one, other]] = points[[other, one]]
        return Keypoints(points)
    assert isinstance(label, ClassProbabilities)
    chances = np.array(label.probabilities)
    chances[[one, other]] = chances[[other, one]]
    return ClassProbabilities(chances)


def _chance(agree: Agree, frames: Sequence[Compared]) -> float:
    """Return how far the model agrees with labels of other frames."""
    table = [agree(a.predicted, b.label) for i, a in enumerate(frames) for j, b in enumerate(frames) if i != j]
    return float(np.mean(table))
