"""The figures of all runs in a folder side by side, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from m2dino.data.durable import write_whole

SHOWN = {
    "segmentation": ("DSC", "HD"),
    "classification": ("Accuracy", "F1_macro", "AUC"),
    "detection": ("IoU",),
    "regression": ("MRE",),
}
"""The official metrics in the table, by type of task; the JSON holds all of them."""
PIXELS = ("HD", "MRE")
TABLE = "table"

Run = Mapping[str, Any]


def write_tables(out: Path) -> str:
    """Write `out`/table.md and `out`/table.json from the finished runs there; return the Markdown."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json")) if path.stem != TABLE]
    # Random weights before ImageNet's, M2DINO beside its rival.
    runs = sorted(found, key=lambda run: (run["entrant"]["imagenet"], run["entrant"]["network"] != "m2dino"))
    text = markdown(runs)
    plain = {run["name"]: {kind: run["figures"][kind] for kind in (*_types(runs), "mean", "overall")} for run in runs}
    write_whole(out / f"{TABLE}.md", text.encode())
    write_whole(out / f"{TABLE}.json", (json.dumps(plain, indent=1) + "\n").encode())
    return text


def _types(runs: Sequence[Run]) -> list[str]:
    return [kind for kind in SHOWN if any(kind in run["figures"] for run in runs)]


def markdown(runs: Sequence[Run]) -> str:
    """Return a table of how each run came about, and one of its figures with their 95 % intervals."""
    lines = ["| run | starts from | parameters | minutes | steps | state kept |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {run['name']} | {run['weights_from']} | {run['parameters'] / 1e6:.1f} M | {run['seconds'] / 60:.1f} "
        f"| {run['steps']} | {run['best_step']} |"
        for run in runs
    ]
    lines += [
        "",
        "| task | metric | " + " | ".join(run["name"] for run in runs) + " |",
        "|---|---" + "|---" * len(runs) + "|",
    ]
    for kind in _types(runs):
        tasks = list(dict.fromkeys(task for run in runs for task in run["figures"].get(kind, {})))
        for metric in SHOWN[kind]:
            unit = f"{metric} (px)" if metric in PIXELS else metric
            for task in tasks:
                cells = " | ".join(_cell(run, kind, task, metric) for run in runs)
                lines.append(f"| {task} | {unit} | {cells} |")
            means = " | ".join(_number(metric, run["figures"]["mean"].get(kind, {}).get(metric)) for run in runs)
            lines.append(f"| **mean of {kind}** | {unit} | {means} |")
    return "\n".join(lines) + "\n"


def _cell(run: Run, kind: str, task: str, metric: str) -> str:
    figures = run["figures"]
    text = _number(metric, figures.get(kind, {}).get(task, {}).get(metric))
    low, high = (figures[side].get(task, {}).get(metric) for side in ("low", "high"))
    return text if low is None or high is None else f"{text} ({_number(metric, low)} to {_number(metric, high)})"


def _number(metric: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if metric in PIXELS else f"{value:.3f}"
