"""The lengths that pairs of measurement points give, and the circumference that two crossing lengths give.

Which points belong together is told by the names of a regression task's labels:

- two labels that share their first word, and share it with no other, are the ends of what that word names ("OFD left"
  and "OFD right": OFD);
- the two points of a task of two are the ends of its length, whatever their names;
- four points whose names tell nothing ("point 1" to "point 4") are two pairs in order.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import combinations, takewhile

import numpy as np

from m2dino.scoring.bootstrap import Floats
from m2dino.tasks import Task

_SAYS_NOTHING = {"point", "end", "ends", "keypoint", "landmark"}


@dataclass(frozen=True)
class Length:
    """A length between two points of a task.

    Attributes
    ----------
    name : str
        What is measured; letters, digits and underscores.
    start, end : int
        Index of the points.
    """

    name: str
    start: int
    end: int

    def of(self, points: Floats) -> float:
        """Return the length in the unit of `points`, (K, 2); NaN where an end is not visible."""
        return float(np.linalg.norm(points[self.end] - points[self.start]))


def lengths_of(task: Task) -> tuple[Length, ...]:
    """Return the lengths that a regression task measures; none where the names do not tell."""
    words = [name.split() for name in task.label_names]
    firsts = Counter(name[0].lower() for name in words if name)
    named = []
    for (i, one), (j, other) in combinations(enumerate(words), 2):
        if one and other and one[0].lower() == other[0].lower() and firsts[one[0].lower()] == 2:
            shared = [a for a, _ in takewhile(lambda pair: pair[0].lower() == pair[1].lower(), zip(one, other))]  # noqa: B905
            told = [word for word in shared if word.lower() not in _SAYS_NOTHING]
            named.append(Length("_".join(told), i, j))
    if named and all(length.name for length in named):
        return tuple(named)
    if task.num_classes == 2:
        return (Length("length", 0, 1),)
    if task.num_classes == 4 and all(first in _SAYS_NOTHING for first in firsts):
        return (Length("length_1_2", 0, 1), Length("length_3_4", 2, 3))
    return ()


def circumference(one: float, other: float) -> float:
    """Return the circumference of the ellipse that has two lengths as its axes, exactly: 4 a E(1 - b²/a²)."""
    from scipy.special import ellipe

    short, long = sorted((one, other))
    if math.isnan(one + other):
        return math.nan
    return float(2 * long * ellipe(1 - (short / long) ** 2)) if long > 0 else 0.0


def crosses(one: Length, other: Length, points: Floats) -> bool:
    """Return whether the two lines cut each other, as the axes of an ellipse do; False where a point is hidden."""
    a, b, c, d = (points[i] for i in (one.start, one.end, other.start, other.end))
    return bool(_side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0)


def _side(start: Floats, end: Floats, point: Floats) -> float:
    along, to = end - start, point - start
    return float(along[0] * to[1] - along[1] * to[0])
