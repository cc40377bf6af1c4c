"""The arms side by side, as Markdown: the mean over seeds, and how far the seeds lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

MAIN = {"segmentation": "DSC", "classification": "AUC", "detection": "IoU", "regression": "MRE"}
"""The metric shown of each type of task, as a mean over its tasks."""

Run = Mapping[str, Any]


def markdown(runs: Sequence[Run], order: Sequence[str]) -> str:
    """Return the table of all runs.

    Parameters
    ----------
    runs : sequence
        What `running.run` wrote; their names are ARM-SEED.
    order : sequence of str
        Of the arms.
    """
    arms = {arm: [run for run in runs if run["name"].rpartition("-")[0] == arm] for arm in order}
    kinds = [kind for kind in MAIN if any(kind in run["figures"]["mean"] for run in runs)]
    heads = [f"{MAIN[kind]}{' (px)' if MAIN[kind] == 'MRE' else ''} of {kind}" for kind in kinds]
    lines = [
        "| arm | M | steps | seeds | seconds a run | " + " | ".join(heads) + " |",
        "|---|---|---|---|---|" + "---|" * len(kinds),
    ]
    for arm, own in arms.items():
        if not own:
            continue
        cells = [_cell([run["figures"]["mean"][kind][MAIN[kind]] for run in own], MAIN[kind]) for kind in kinds]
        lines.append(
            f"| {arm} | {own[0]['parameters'] / 1e6:.1f} | {own[0]['steps']} | {len(own)} "
            f"| {mean(run['seconds'] for run in own):.0f} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float], metric: str) -> str:
    digits = 1 if metric == "MRE" else 3
    text = f"{mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"
