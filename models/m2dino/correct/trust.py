"""When is a carried value likely nearer to what a person wants than what a model proposed? Measured, not guessed.

See docs/decisions/0046-what-a-carried-label-may-replace.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m2dino.values import Box, Mask, Value

CARRIED_AT_LEAST, CARRIED_GAIN = 0.87, 0.15
"""A label carried with confidence c is expected to agree with the corrected one by 0.87 + 0.15 c."""
PRIOR = 3
"""How many frames judged that expectation is worth, against what a person made of carried labels on this loop."""
FOLLOWED = 0.8
"""Confidence from which on a carried label replaces a proposal where nobody has judged the model."""


def agreement(first: Value, second: Value) -> float | None:
    """Return how far two values agree, 0 to 1; None for points and classes, which have no extent.

    For masks it is the Dice coefficient of all structures together, a pixel counting where it has the same class; for
    boxes the Dice coefficient of their areas. Two empty ones agree.
    """
    if isinstance(first, Mask) and isinstance(second, Mask) and first.labels.shape == second.labels.shape:
        a, b = first.labels, second.labels
        both = int(np.count_nonzero((a == b) & (a > 0)))
        return _dice(both, int(np.count_nonzero(a) + np.count_nonzero(b)))
    if isinstance(first, Box) and isinstance(second, Box):
        height = min(first.y_max, second.y_max) - max(first.y_min, second.y_min)
        width = min(first.x_max, second.x_max) - max(first.x_min, second.x_min)
        return _dice(max(0.0, height) * max(0.0, width), _area(first) + _area(second))
    return None


def expected_agreement(confidence: float) -> float:
    """Return how far a label carried with this confidence agrees with what a person makes of it, on average."""
    return CARRIED_AT_LEAST + CARRIED_GAIN * confidence


def carried_bias(judged: Sequence[tuple[float, float]]) -> float:
    """Return by how much carried labels have agreed better (or, below 0, worse) on a loop than was expected.

    Parameters
    ----------
    judged : sequence of (float, float)
        Confidence and `agreement` of each carried label that a person has decided on.
    """
    return sum(agreed - expected_agreement(confidence) for confidence, agreed in judged) / (len(judged) + PRIOR)


def may_replace(confidence: float, model: float | None, bias: float = 0.0) -> bool:
    """Whether a carried value should take the place of a model's proposal.

    Parameters
    ----------
    confidence : float
        Of what is carried: `propagation.Carried.confidence`.
    model : float or None
        Mean `agreement` of this model's proposals with what a person made of them, on frames of the same loop; None
        where no person has said, or it cannot be told. Where they left all as it was, nothing is nearer.
    bias : float
        `carried_bias` on the same loop.
    """
    if model is None:
        return confidence >= FOLLOWED
    return model < 1 and expected_agreement(confidence) + bias > model


def _dice(both: float, total: float) -> float:
    return 2 * both / total if total else 1.0


def _area(box: Box) -> float:
    return (box.y_max - box.y_min) * (box.x_max - box.x_min)
