"""How far a run is."""

from __future__ import annotations

import math
import time

from m2dino.training.settings import TrainSettings


class Clock:
    """How far a run is: by steps, or by seconds where its length is given in minutes.

    Parameters
    ----------
    settings : TrainSettings
    images : float
        Images of an epoch.

    Attributes
    ----------
    step : int
        Steps made.
    steps : int or None
        Steps of the whole run; None if its length is given in minutes.
    """

    def __init__(self, settings: TrainSettings, images: float) -> None:
        self.minutes = settings.minutes
        # A hair less, so that no rounding of the mean number of labels makes another step.
        self.steps = math.ceil(settings.epochs * images / settings.batch_size - 1e-6) if settings.epochs else None
        self.go_on(0, 0.0)

    def go_on(self, step: int, seconds: float) -> None:
        """Start from a step, with so many seconds spent."""
        self.step, self._before, self._start = step, seconds, time.monotonic()

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._start

    @property
    def fraction(self) -> float:
        done = self.step / self.steps if self.steps else self.seconds / (60 * (self.minutes or 1))
        return min(done, 1.0)

    @property
    def remaining(self) -> float:
        """Seconds left, as far as can be told; infinite at the start."""
        fraction = self.fraction
        return self.seconds * (1 - fraction) / fraction if fraction else math.inf


def duration(seconds: float) -> str:
    """Say a length of time to people."""
    if not math.isfinite(seconds):
        return "time unknown"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
