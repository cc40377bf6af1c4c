"""What fine-tuning did to each task, as plain rows for tables and bars. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from m2dino.metrics import Metric
from m2dino.network.card import LOWER_IS_BETTER
from m2dino.training.guard import Change

SHOWN = {"DSC": "Dice", "Accuracy": "accuracy", "IoU": "IoU", "MRE": "point error"}


@dataclass(frozen=True)
class Span:
    """A figure with its 95 % interval; ends that are not known are None."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    @classmethod
    def of(cls, metric: Metric | None) -> Span | None:
        """Return a metric as plain data; None for none."""
        if metric is None or not math.isfinite(metric.value):
            return None
        known = math.isfinite(metric.low) and math.isfinite(metric.high)
        return cls(metric.value, metric.low if known else None, metric.high if known else None, metric.n)


@dataclass(frozen=True)
class TaskRow:
    """One task before and after.

    Attributes
    ----------
    task, metric : str
    before : Span or None
        None where the model before did not know the task.
    after : Span
    difference : Span or None
        Of the same images, with its paired interval.
    subjects : int
    better, harmed : bool
        Whether the guard is sure of either.
    """

    task: str
    metric: str
    before: Span | None
    after: Span
    difference: Span | None
    subjects: int = 0
    better: bool = False
    harmed: bool = False

    @classmethod
    def of(
        cls, task: str, metric: str, before: Metric | None, after: Metric, change: Change | None, harmed: bool
    ) -> TaskRow:
        """Return the row of a task."""
        new = Span.of(after)
        assert new is not None
        difference = Span.of(change.difference) if change else None
        subjects, better = (change.subjects, change.better) if change else (0, False)
        return cls(
            task, metric, Span.of(before), new, difference, subjects, better, harmed or bool(change and change.harmed)
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskRow:
        """Return what `to_dict` gave."""
        spans = {name: Span(**data[name]) if data.get(name) else None for name in ("before", "after", "difference")}
        return cls(**{**data, **spans})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return asdict(self)

    @property
    def lower_is_better(self) -> bool:
        return self.metric in LOWER_IS_BETTER

    def text(self) -> str:
        """Say it for a person: "Dice 0.84 → 0.91, +0.07 (+0.05 to +0.09)"."""
        digits, unit = (1, " px") if self.lower_is_better else (2, "")
        was = "not known" if self.before is None else f"{self.before.value:.{digits}f}"
        text = f"{SHOWN.get(self.metric, self.metric)} {was} → {self.after.value:.{digits}f}{unit}"
        moved = self.difference
        if moved is not None:
            text += f", {moved.value:+.{digits}f}"
            if moved.low is not None and moved.high is not None:
                text += f" ({moved.low:+.{digits}f} to {moved.high:+.{digits}f})"
        return text
