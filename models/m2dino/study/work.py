"""Carrying out the runs of a plan that have no result yet, one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from m2dino.progress import OnProgress, ShouldStop
from m2dino.study.data import StudyData
from m2dino.study.execute import How, execute
from m2dino.study.plan import Plan, Run
from m2dino.study.results import Result, Results


def _tell_nobody(text: str) -> None:
    """Have nobody to tell."""


@dataclass(frozen=True)
class Todo:
    """Runs to make, and what they need.

    Attributes
    ----------
    runs : list of Run
    data : StudyData
    how : How
    results : Results
        Where each result is written as soon as it is there.
    tell : callable
        Called with a sentence for a person, which may name files.
    """

    runs: list[Run]
    data: StudyData
    how: How
    results: Results
    tell: Callable[[str], None] = _tell_nobody

    def keep(self, run: Run, result: Result) -> None:
        """Write the result of a run; how one failed is told in full, for no file of a study says it.

        Raises
        ------
        StudyError
            The folder cannot be written.
        """
        self.results.save(run, result)
        if result.failed:
            self.tell(f"{run.text()} failed: {result.error or result.failed}")


class Labour(Protocol):
    """A way to carry out runs; it returns early when told to stop, with every finished result written."""

    def __call__(self, todo: Todo, on_progress: OnProgress, should_stop: ShouldStop) -> None: ...


def unfinished(plan: Plan, results: Results) -> list[Run]:
    """Return the runs that have no figures, in order; one that failed is tried again."""
    there = results.load(plan.runs)
    return [run for run in plan.runs if run.id not in there or there[run.id].failed]


def one_by_one(todo: Todo, on_progress: OnProgress, should_stop: ShouldStop) -> None:
    """Carry out runs in this process."""
    for number, run in enumerate(todo.runs):
        if should_stop():
            return
        result = execute(
            run,
            todo.data,
            todo.how,
            todo.results.scratch(run),
            on_progress=_Part(on_progress, number, len(todo.runs), run),
            should_stop=should_stop,
        )
        if result is None:
            return
        todo.keep(run, result)
    on_progress(len(todo.runs), len(todo.runs), "")


class _Part:
    """The progress of one run within that of all."""

    def __init__(self, on_progress: OnProgress, number: int, count: int, run: Run) -> None:
        self.on_progress, self.number, self.count = on_progress, number, count
        self.text = f"run {number + 1} / {count}: {run.text()}"

    def __call__(self, done: int, total: int, text: str) -> None:
        share = round(1000 * (self.number + done / max(total, 1)))
        self.on_progress(min(share, 1000 * self.count - 1), 1000 * self.count, f"{self.text} · {text}")


def failures(runs: Sequence[Run], there: dict[str, Result]) -> list[str]:
    """Return a sentence for each run that failed."""
    return [f"{run.text()}: {there[run.id].failed}" for run in runs if run.id in there and there[run.id].failed]


def scratch_folder(out: Path) -> Path:
    """Return the folder in which networks lie while they are made."""
    return Results(out).folder / "unfinished"
