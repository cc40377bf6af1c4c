"""Advice that is measured: every task trained for a short while alone and pooled, equally long, and compared.

The probes are a study (`m2dino.study`) of one seed and all the data. They are short, so they say who is ahead at the
start; and what is pooled learns from all labels at once, which helps most at the start. Both are said with the result.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from m2dino.advice.conflict import Conflict, conflict
from m2dino.advice.rules import Advice
from m2dino.network.config import preset
from m2dino.predictor import Model
from m2dino.progress import OnProgress, ShouldStop
from m2dino.study.changes import Change
from m2dino.study.data import StudyData
from m2dino.study.execute import How, execute
from m2dino.study.pace import measure, steps_within
from m2dino.study.plan import Options, make_plan
from m2dino.study.results import Result
from m2dino.study.summary import Summary, summarise
from m2dino.training.paradigms import Paradigm
from m2dino.training.run import Start

IMAGE_SIZE = 96
HELD_OUT = 48
MEASURED_SHARE = 0.85
"""Of the time asked for; the rest goes to the measuring of steps and of gradients."""


@dataclass(frozen=True)
class Probes:
    """What short runs found."""

    summary: Summary
    conflict: Conflict | None
    steps: int
    image_size: int


def probe(
    data: StudyData,
    minutes: float,
    threads: int,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    size: int = IMAGE_SIZE,
) -> Probes:
    """Train and compare short runs that together take so many minutes.

    Raises
    ------
    UsageError
        The minutes are too few.
    """
    how = How(Start(), "auto", 0)
    architecture = preset("tiny").with_options(image_size=size)
    options = Options(scales=(1.0,), seeds=1, arms=("soft-4",), held_out=HELD_OUT)
    plan = make_plan(data.tasks, architecture, options, "probe")
    pace = measure(plan, data, how, threads)
    steps = steps_within(pace, plan, data, 60 * minutes * MEASURED_SHARE)
    plan = make_plan(data.tasks, architecture, replace(options, steps=steps), "probe")
    found: dict[str, Result] = {}
    pulls: list[Conflict] = []

    def look(model: Model) -> None:
        if len(model.tasks) == len(data.tasks):
            rows = {task: [row for row in data.train if row.task_id == task] for task in data.tasks}
            pulls.append(conflict(model.net, rows, model.device))

    with tempfile.TemporaryDirectory(prefix="m2dino-advise-") as folder:
        for number, run in enumerate(plan.runs):
            on_progress(number, len(plan.runs), f"probe {number + 1} / {len(plan.runs)}: {run.text()}")
            made = execute(run, data, how, Path(folder) / run.id, look=look, should_stop=should_stop)
            if made is None:
                break
            found[run.id] = made
    on_progress(len(plan.runs), len(plan.runs), "")
    return Probes(summarise(plan, found), pulls[0] if pulls else None, steps, size)


def measured(probes: Probes, task_id: str, guess: Advice) -> Advice:
    """Turn what the probes found of a task into advice; the guess by counts where they cannot tell."""
    changes: dict[Paradigm, Change] = {
        line.paradigm: line.change  # type: ignore[misc]  # a line's paradigm is one by construction
        for line in probes.summary.pooling
        if line.task == task_id
    }
    told: dict[str, dict[str, float | str | None]] = {name: _plain(one) for name, one in changes.items()}
    if not changes:
        return guess
    gains = [name for name, one in changes.items() if one.by_subjects[0] > 0]
    if gains:
        best = max(gains, key=lambda name: changes[name].points)
        text = f"In short runs it did better with {_of(best)} than alone: {_points(changes[best])}."
        return Advice(best, text, "measured", guess.evidence, told)
    shown: Paradigm = "all-task" if "all-task" in changes else next(iter(changes))
    with_it, by = _of(shown), _points(changes[shown])
    if all(one.by_subjects[1] < 0 for one in changes.values()):
        text = f"In short runs every pooling did worse than the task alone, that with {with_it} by {by}."
        if len(changes) == 1:
            text = f"In short runs it did worse with {with_it} than alone: {by}."
        return Advice("task-specific", text, "measured", guess.evidence, told)
    text = f"Short runs could not tell pooling with {with_it} from the task alone ({by}), so by counts: "
    return replace(guess, reason=text + guess.reason[:1].lower() + guess.reason[1:], measured=told)


def _of(paradigm: Paradigm) -> str:
    return "all tasks" if paradigm == "all-task" else "its clinical group"


def _points(one: Change) -> str:
    low, high = one.in_points(one.by_subjects)
    known = f"{low:+.1f} to {high:+.1f} over subjects" if math.isfinite(low) else "of one held-out subject"
    return f"{one.points:+.1f} points, {known}"


def _plain(one: Change) -> dict[str, float | str | None]:
    low, high = one.in_points(one.by_subjects)
    values = {"points": one.points, "low": low, "high": high, "alone": one.reference, "pooled": one.value}
    return {"metric": one.metric, **{name: round(v, 4) if v == v else None for name, v in values.items()}}
