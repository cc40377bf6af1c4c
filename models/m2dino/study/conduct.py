"""A whole study: its length settled, its runs carried out, its report written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from m2dino.errors import StudyError
from m2dino.network.config import Architecture
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.study.data import StudyData
from m2dino.study.execute import How
from m2dino.study.pace import Pace, estimate, measure, steps_within
from m2dino.study.plan import Options, Plan, make_plan
from m2dino.study.report import write_report
from m2dino.study.results import Results, write
from m2dino.study.summary import Summary, summarise
from m2dino.study.work import Labour, Todo, one_by_one, unfinished

PACE = "pace.json"


def conduct(
    data: StudyData,
    architecture: Architecture,
    options: Options,
    out: Path,
    how: How,
    labour: Labour = one_by_one,
    *,
    minutes: float | None = None,
    side_by_side: int = 1,
    threads: int = 1,
    plan_only: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> Summary | None:
    """Carry out what is missing of a study, and write its report; stopped, the report is of what there is.

    Parameters
    ----------
    data : StudyData
    architecture : Architecture
    options : Options
        With `minutes`, its steps are replaced.
    out : Path
        The study's folder. What is there is not done again.
    how : How
    labour : Labour
    minutes : float, optional
        Length of the whole study.
    side_by_side, threads : int
        How many runs go on at once, with how many threads each: for the estimate.
    plan_only : bool
        Say what would be done, and do nothing; returns None.
    tell : callable
        Called with sentences for a person.
    on_progress, should_stop : callables

    Raises
    ------
    UsageError, StudyError
        The study cannot be made so, or its folder cannot be written.
    """
    results = Results(out)
    if out.is_file():
        raise StudyError(f"{out}: that is a file; name a folder.")
    plan = _plan(data, architecture, options, how)
    pace: Pace | None = None
    if minutes is not None:
        steps, pace = _settled(out, plan, data, how, minutes, side_by_side, threads, tell, plan_only)
        plan = _plan(data, architecture, replace(options, steps=steps), how)
    left = unfinished(plan, results)
    if left:
        if pace is None:
            tell("Measuring how long a step takes.")
            pace = measure(plan, data, how, threads)
        seconds = estimate(pace, plan, left, data, side_by_side)
        tell(_announced(plan, len(left), seconds))
    if plan_only:
        for run in plan.runs:
            tell(f"  {'to do' if run in left else 'done '}  {run.text()}")
        return None
    if left:
        labour(Todo(left, data, how, results), on_progress, should_stop)
    summary = summarise(plan, results.load(plan.runs))
    write_report(summary, out)
    return summary


def _plan(data: StudyData, architecture: Architecture, options: Options, how: How) -> Plan:
    return make_plan(data.tasks, architecture, options, data.signature, how.start.signature())


def _settled(
    out: Path,
    plan: Plan,
    data: StudyData,
    how: How,
    minutes: float,
    side_by_side: int,
    threads: int,
    tell: Callable[[str], None],
    plan_only: bool,
) -> tuple[int, Pace | None]:
    """Return the steps that fill the time; once settled they stay, or no run would ever be found again."""
    asked = {"runs": [run.id for run in plan.runs], "minutes": minutes, "side_by_side": side_by_side}
    try:
        there = json.loads((out / PACE).read_text(encoding="utf-8"))
        if there["asked"] == asked:
            return int(there["steps"]), Pace(**there["pace"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    tell("Measuring how long a step takes.")
    pace = measure(plan, data, how, threads)
    steps = steps_within(pace, plan, data, 60 * minutes, side_by_side)
    if not plan_only:
        write(out / PACE, json.dumps({"asked": asked, "steps": steps, "pace": asdict(pace)}, indent=1) + "\n")
    return steps, pace


def _announced(plan: Plan, left: int, seconds: float) -> str:
    done = len(plan.runs) - left
    there = f", {done} of them are there" if done else ""
    return (
        f"{len(plan.runs)} networks{there}; each task is learnt in {plan.options.steps} batches of "
        f"{plan.options.batch_size}. About {seconds / 60:.0f} minutes."
    )
