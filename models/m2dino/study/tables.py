"""A study as a CSV file, a line for each task and comparison, and as JSON with all of it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from m2dino.study.reading import reading
from m2dino.study.summary import Line, Summary

FORMAT, VERSION = "m2dino-study", 1
COLUMNS = (
    "task", "type", "group", "paradigm", "arm", "scale", "against", "rows", "subjects", "seeds", "images",
    "held_out_subjects", "metric", "value", "reference", "change", "relative_percent", "points", "subjects_low",
    "subjects_high", "seeds_low", "seeds_high", "verdict",
)  # fmt: skip


def cells(line: Line) -> dict[str, Any]:
    """Return a line as plain data; None for what is not known."""
    told = line.change
    data = {
        **{name: getattr(line, name) for name in COLUMNS[:12]},
        "metric": told.metric,
        "value": told.value,
        "reference": told.reference,
        "change": told.change,
        "relative_percent": told.relative,
        "points": told.points,
        "subjects_low": told.by_subjects[0],
        "subjects_high": told.by_subjects[1],
        "seeds_low": told.by_seeds[0],
        "seeds_high": told.by_seeds[1],
        "verdict": told.verdict,
    }
    return {name: _plain(value) for name, value in data.items()}


def to_csv(lines: Sequence[Line]) -> str:
    """Return the table; the change is better when positive, whatever the metric."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in cells(line).items()} for line in lines)
    return stream.getvalue()


def to_json(summary: Summary) -> str:
    """Return all that a study found."""
    plan = summary.plan
    data = {
        "format": FORMAT,
        "version": VERSION,
        "options": asdict(plan.options),
        "tasks": {task_id: {"type": task.type, "group": task.group} for task_id, task in plan.tasks.items()},
        "reading": reading(summary),
        "pooling": [cells(line) for line in summary.pooling],
        "arms": [cells(line) for line in summary.arms],
        "types": [
            {
                **{k: _plain(v) for k, v in asdict(mean).items() if k != "by_seeds"},
                "by_seeds": list(map(_plain, mean.by_seeds)),
            }
            for mean in summary.types
        ],
        "costs": [asdict(cost) for cost in summary.costs],
        "gates": {task: gates.tolist() for task, gates in summary.gates.items()},
        "failed": summary.failed,
        "missing": summary.missing,
        "runs": [
            {
                "id": run.id,
                "tasks": run.tasks,
                "arm": run.arm,
                "scale": run.scale,
                "seed": run.seed,
                "steps": summary.results[run.id].steps,
                "train_seconds": summary.results[run.id].train_seconds,
                "label_updates": summary.results[run.id].label_updates,
                "figures": {
                    task: {"metric": figure.metric, "value": _plain(figure.value)}
                    for task, figure in summary.results[run.id].figures.items()
                },
            }
            for run in plan.runs
            if run.id in summary.results
        ],
    }
    return json.dumps(data, indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
