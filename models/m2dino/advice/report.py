"""Advice as text for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m2dino.advice.counts import TaskCount
from m2dino.advice.evidence import EVIDENCE, MEANING
from m2dino.advice.probes import Probes
from m2dino.advice.rules import Advice, imbalance

FORMAT, VERSION = "m2dino-advice", 1
BY_COUNTS = (
    "Judged by counts, not measured: the paper's evidence and limits of our own between its few cases. Take it as "
    "where to start; --minutes 20 measures on your data."
)
MEASURED = (
    "Measured by short runs of {steps} batches a task at {size} px, one seed: they say who is ahead early on, which "
    "favours pooling, and another seed may differ. `m2dino study` is the long answer."
)
UNEVEN = 10


@dataclass(frozen=True)
class Told:
    """A whole advice.

    Attributes
    ----------
    counts : dict of str to TaskCount
    tasks : dict of str to Advice
    overall : Advice
    probes : Probes or None
        None where no short run was begun.
    notes : list of str
    """

    counts: Mapping[str, TaskCount]
    tasks: Mapping[str, Advice]
    overall: Advice
    probes: Probes | None
    notes: Sequence[str]

    @property
    def measured(self) -> bool:
        """Whether short runs say something of a task; told to stop, they may have ended before there were two."""
        return self.probes is not None and bool(self.probes.summary.pooling)

    @property
    def basis(self) -> str:
        """Say how the advice came about, and how sure it is."""
        if self.probes is None or not self.measured:
            return BY_COUNTS
        return MEASURED.format(steps=self.probes.steps, size=self.probes.image_size)


def to_text(told: Told) -> str:
    """Return a table, a sentence a task, and what they rest on."""
    lines = [f"{'task':26}{'type':16}{'group':11}{'labels':>7}{'from':>6}  {'advice':20}how sure"]
    for task_id, advice in told.tasks.items():
        one = told.counts[task_id]
        lines.append(
            f"{task_id:26}{one.task.type:16}{one.task.group:11}{one.labels:>7}{one.sources:>6}  {advice.paradigm:20}"
            f"{advice.sure}"
        )
    lines += ["", f"OVERALL  {told.overall.paradigm} ({told.overall.sure}). {told.overall.reason}", ""]
    lines += [f"  {task_id}: {advice.reason}" for task_id, advice in told.tasks.items()]
    lines += ["", told.basis, *told.notes]
    used = dict.fromkeys(item for advice in told.tasks.values() for item in advice.evidence)
    if used:
        lines += ["", "EVIDENCE"]
        lines += [f"  {EVIDENCE[item].text} [{MEANING[EVIDENCE[item].certainty]}]" for item in used]
    return "\n".join(lines)


def to_json(told: Told) -> str:
    """Return the advice as JSON; its schema stands in docs/advice.md."""
    tasks = {}
    for task_id, advice in told.tasks.items():
        one = told.counts[task_id]
        tasks[task_id] = {
            "type": one.task.type,
            "group": one.task.group,
            "rows": one.rows,
            "subjects": one.subjects,
            "frames": one.frames,
            "loops": one.loops,
            **_advice(advice),
        }
    data = {
        "format": FORMAT,
        "version": VERSION,
        "basis": "measured" if told.measured else "counts",
        "certainty": told.basis,
        "overall": _advice(told.overall),
        "tasks": tasks,
        "imbalance": round(imbalance(dict(told.counts)), 1),
        "conflict": _conflict(told.probes),
        "evidence": [{"id": e.id, "certainty": e.certainty, "text": e.text} for e in EVIDENCE.values()],
        "notes": list(told.notes),
    }
    return json.dumps(data, indent=1)


def _advice(advice: Advice) -> dict[str, Any]:
    return {
        "paradigm": advice.paradigm,
        "reason": advice.reason,
        "sure": advice.sure,
        "evidence": list(advice.evidence),
        "measured": dict(advice.measured) if advice.measured else None,
    }


def _conflict(probes: Probes | None) -> dict[str, Any] | None:
    if probes is None or probes.conflict is None:
        return None
    pulls = probes.conflict
    return {
        "tasks": pulls.tasks,
        "cosines": [[_plain(value) for value in row] for row in pulls.cosines],
        "itself": [_plain(value) for value in pulls.itself],
    }


def conflict_notes(probes: Probes) -> list[str]:
    """Say which tasks pull against each other, where the gradients are more than noise."""
    pulls = probes.conflict
    if pulls is None or len(pulls.tasks) < 2:
        return []
    against = []
    for i, one in enumerate(pulls.tasks):
        for j, other in enumerate(pulls.tasks[:i]):
            if pulls.cosines[i, j] < 0:
                against.append((float(pulls.cosines[i, j]), other, one))
    steady = float(pulls.itself[~_nan(pulls.itself)].mean()) if (~_nan(pulls.itself)).any() else math.nan
    text = (
        f"Gradients of the shared encoder, after the probe of all tasks: two halves of a task's images agree by a "
        f"cosine of {steady:.2f} on average; "
    )
    if not against:
        return [text + "no two tasks pull against each other."]
    worst = ", ".join(f"{a} and {b} ({cosine:+.2f})" for cosine, a, b in sorted(against)[:3])
    return [text + f"{len(against)} pairs pull against each other, most of all {worst}. It is a hint, not a forecast."]


def _nan(values: Any) -> Any:
    return values != values


def _plain(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None


def count_notes(counts: Mapping[str, TaskCount]) -> list[str]:
    """Say what of the counts a reader should know."""
    notes = []
    if len(counts) > 1 and imbalance(dict(counts)) >= UNEVEN:
        notes.append(
            f"The largest task has {imbalance(dict(counts)):.0f} times the labels of the smallest; pooled training "
            "draws tasks by rows^0.5, so that small ones are not drowned."
        )
    few = [task_id for task_id, one in counts.items() if one.sources < 5]
    if few:
        notes.append(f"Fewer than five subjects or loops: {', '.join(few)}. No advice about these is worth much.")
    return notes
