"""What a study shows and what it does not, in sentences that follow from its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from m2dino.study.arms import equal_compute
from m2dino.study.claims import grouping, more_data, own_rows, types
from m2dino.study.summary import Line, Summary

NAMES = {"all-task": "pooling all tasks", "clinically-grouped": "pooling by clinical group"}
FEW_SUBJECTS, FEW_SEEDS = 8, 5


def reading(summary: Summary) -> list[str]:
    """Return paragraphs: what was done, what it shows of each claim of the paper, and how sure one can be."""
    told = [_done(summary)]
    for paradigm in ("all-task", "clinically-grouped"):
        lines = [one for one in summary.pooling if (one.paradigm, one.scale) == (paradigm, summary.plan.full)]
        if lines:
            told.append(_paradigm(NAMES[paradigm], lines))
    told += [grouping(summary), types(summary), more_data(summary), own_rows(summary), *_experts(summary)]
    return [text for text in [*told, _sure(summary)] if text]


def _done(summary: Summary) -> str:
    plan = summary.plan
    options = plan.options
    scales = ", ".join(f"{100 * scale:g} %" for scale in sorted(set(options.scales)))
    size = next((run.architecture["image_size"] for run in plan.runs), 0)
    return (
        f"{len(summary.results)} networks of {len(plan.tasks)} tasks were trained: {scales} of the subjects, "
        f"{summary.seeds} {'seed' if summary.seeds == 1 else 'seeds'} to compare of {options.seeds} planned, images of "
        f"{size} px. In every one each task was learnt in {options.steps} batches of {options.batch_size} labels, "
        "whatever it was pooled with and however much data there was, and no held-out image had a say in any of it."
    )


def _paradigm(name: str, lines: Sequence[Line]) -> str:
    gains, losses = ([line.task for line in lines if line.change.verdict == kind] for kind in ("gain", "loss"))
    unsure = len(lines) - len(gains) - len(losses)
    lower = sum(line.change.verdict == "loss not shown" for line in lines)
    parts = []
    if losses:
        parts.append(f"harm {_listed(losses)} (negative transfer)")
    if gains:
        parts.append(f"help {_listed(gains)}")
    shown = " and to ".join(parts) if parts else "neither help nor harm any task"
    text = f"Against a network of its own, {name} with all the data is shown to {shown}"
    if unsure:
        text += f"; for {unsure} of {len(lines)} tasks nothing is shown ({lower} came out lower, {unsure - lower} not)"
    return f"{text}."


def _experts(summary: Summary) -> list[str]:
    told = []
    for arm, against in dict.fromkeys((line.arm, line.against) for line in summary.arms):
        lines = [one for one in summary.arms if (one.arm, one.against) == (arm, against)]
        lines = [line for line in lines if math.isfinite(line.change.points)]
        if not lines:
            continue
        gains, losses = (sum(line.change.verdict == kind for line in lines) for kind in ("gain", "loss"))
        mean = float(np.mean([line.change.points for line in lines]))
        fewest, most = min(line.seeds for line in lines), max(line.seeds for line in lines)
        # A run that failed leaves its tasks with fewer seeds than others have.
        seeds = f"{fewest} {'seed' if fewest == 1 else 'seeds'}" if fewest == most else f"{fewest} to {most} seeds"
        of_equal = ", the dense network of equal compute" if against == equal_compute(arm) else ""
        told.append(
            f"{arm} against {against}{of_equal}: {mean:+.1f} points over {len(lines)} tasks and {seeds}; "
            f"shown to be better for {gains} of the tasks and worse for {losses}."
        )
    return told


def _sure(summary: Summary) -> str:
    comparisons = len(summary.pooling) + len(summary.arms)
    text = (
        "How sure: a change counts as shown only if both its intervals, over subjects and over seeds, leave out zero. "
        f"Of {comparisons} comparisons some will do so by chance, for nothing is corrected for their number. "
    )
    if summary.seeds < 2:
        text += "With one seed nothing can be shown at all: another might turn every sign. "
    elif summary.seeds < FEW_SEEDS:
        text += f"{summary.seeds} seeds give wide intervals, so real effects are missed. "
    few = [line.task for line in summary.pooling if line.held_out_subjects < FEW_SUBJECTS]
    if few:
        text += f"Fewer than eight held-out subjects stand behind {_listed(list(dict.fromkeys(few)))}. "
    text += (
        "The runs are short and the networks small: a task that needs long training looks worse alone than it has to, "
        "which favours pooling. What holds on these data need not hold on others."
    )
    if summary.missing or summary.failed:
        text += f" {summary.missing} planned networks are not trained yet and {len(summary.failed)} failed."
    return text


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
