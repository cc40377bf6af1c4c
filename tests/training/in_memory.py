"""What tests of the training loop share."""

from __future__ import annotations

from collections.abc import Callable

from m2dino.data.samples import LabelledFrames
from m2dino.training.data import TrainingData


def after(steps: int) -> Callable[[], bool]:
    """Return a should_stop that lets so many steps pass."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    return should_stop


def frames(data: TrainingData) -> LabelledFrames:
    return LabelledFrames(data.train, data.tasks, 64)
