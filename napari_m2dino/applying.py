"""The two ways in which values come onto layers by a command, and not by brush or mouse. Each call is one action.

Everything that a person can ask for in the window (clean, copy, hide, carry, fill in, import) goes through here.
"""

from __future__ import annotations

from collections.abc import Sequence

from m2dino.errors import UsageError
from m2dino.values import Prediction, Value

from napari_m2dino.result_layers import ResultLayer


def is_persons(result: ResultLayer, frame: int) -> bool:
    """Whether a frame is not to be overwritten, for a person has decided on it or changed it."""
    try:
        current = result.value(frame)
    except UsageError:
        return True  # something drawn by hand that is no value yet
    if result.layer is None and current is None:
        return result.session.is_decided(frame)
    return result.session.is_protected(frame, current)


def edit(result: ResultLayer, frame: int, value: Value | None) -> None:
    """Put a value on a frame as a person's own change of it."""
    result.write({frame: value})
    result.changed.emit(frame)


def propose(result: ResultLayer, predictions: Sequence[Prediction]) -> list[int]:
    """Put proposals on the frames that a person has neither decided on nor changed; return the frames left alone."""
    kept = [one.frame for one in predictions if is_persons(result, one.frame)]
    fresh = [one for one in predictions if one.frame not in kept]
    for one in fresh:
        result.session.propose(one)
    if fresh:
        result.write({one.frame: one.value for one in fresh})
    return kept
