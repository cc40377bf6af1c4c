"""A whole study: its length settled, its runs carried out, its report written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

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
    if out.is_file():
        raise StudyError(f"{out}: that is a file; name a folder.")
    # Workers have working folders of their own, in which a relative path would lead elsewhere.
    out, how = out.absolute(), replace(how, start=how.start.absolute())
    results = Results(out)
    plan = _plan(data, architecture, options, how)
    pace: Pace | None = None
    if minutes is not None:
        steps, pace = _settled(out, plan, architecture, data, how, minutes, side_by_side, threads, tell, plan_only)
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
        labour(Todo(left, data, how, results, tell), on_progress, should_stop)
    summary = summarise(plan, results.load(plan.runs))
    write_report(summary, out)
    return summary


def _plan(data: StudyData, architecture: Architecture, options: Options, how: How) -> Plan:
    return make_plan(data.tasks, architecture, options, data.signature, how.start.signature())


def _settled(
    out: Path,
    plan: Plan,
    architecture: Architecture,
    data: StudyData,
    how: How,
    minutes: float,
    side_by_side: int,
    threads: int,
    tell: Callable[[str], None],
    plan_only: bool,
) -> tuple[int, Pace | None]:
    """Return the steps that fill the time; once settled they stay, or no run would ever be found again.

    So they do with more seeds, scales or kinds of network, and by other workers. The pace comes with them only where
    it was measured for all of that.
    """
    told = json.dumps([data.signature, architecture.to_dict(), plan.options.batch_size, minutes], sort_keys=True)
    asked = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    settled = _read(out / PACE)
    try:
        there = settled[asked]
        steps, pace, same = int(there["steps"]), Pace(**there["pace"]), there["threads"] == threads
    except (KeyError, TypeError, ValueError):
        pass
    else:
        tell(f"{steps} batches a task, as settled on before; delete {PACE} to settle anew.")
        return steps, pace if same and {run.arm for run in plan.runs} <= pace.together.keys() else None
    tell("Measuring how long a step takes.")
    pace = measure(plan, data, how, threads)
    steps = steps_within(pace, plan, data, 60 * minutes, side_by_side)
    if not plan_only:
        settled[asked] = {"steps": steps, "threads": threads, "pace": asdict(pace)}
        write(out / PACE, json.dumps(settled, indent=1) + "\n")
    return steps, pace


def _read(file: Path) -> dict[str, Any]:
    """Return what was settled on, by what it was asked for: a study of another length stays there, too."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return {}


def _announced(plan: Plan, left: int, seconds: float) -> str:
    done = len(plan.runs) - left
    there = f", {done} of them are there" if done else ""
    return (
        f"{len(plan.runs)} networks{there}; each task is learnt in {plan.options.steps} batches of "
        f"{plan.options.batch_size}. About {seconds / 60:.0f} minutes."
    )
