"""The line of models as text for people and as plain data for programs."""

from __future__ import annotations

from typing import Any

from m2dino.lineage.line import Lineage, LineModel
from m2dino.network.card import HEADLINE


def figures(model: LineModel) -> str:
    """Return what fine-tuning did to its task, in one line: "DSC 0.843 -> 0.912 (+0.052 to +0.087)"."""
    card = model.card
    if card is None:
        return "the file has gone"
    task = str(card.training.get("task", ""))
    change = (card.training.get("changes") or {}).get(task)
    report = card.tasks.get(task)
    if change:
        low, high = change["difference"]["low"], change["difference"]["high"]
        interval = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
        return f"{change['metric']} {change['before']:.3f} -> {change['after']:.3f}{interval}"
    if report is not None and (metric := report.metrics.get(HEADLINE[report.task.type])):
        return f"{HEADLINE[report.task.type]} {metric.value:.3f}, not known before"
    return f"{len(card.tasks)} tasks" if not task else "no figure"


def to_text(line: Lineage) -> str:
    """Return a table, the base first and the newest last, and below it what speaks against models."""
    if not line.models:
        return "No model was fine-tuned on this dataset folder yet."
    rows = [("", "model", "state", "made", "from", "task", "frames", "figures")]
    for one in line.models:
        training = one.card.training if one.card else {}
        data = "" if one.train is None else f"{one.train} + {one.heldout} of {one.loops}"
        rows.append(
            (
                "*" if one.state == "in use" else "",
                one.id,
                one.state,
                one.made[:16].replace("T", " "),
                one.parent or "-",
                " ".join(str(training[key]) for key in ("task", "form") if training.get(key)) or "-",
                data or "-",
                figures(one),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for one in line.models:
        said = "accepted" if one.accepted else "against"
        lines += [f"{said} {one.id}: {sentence}" for sentence in one.accepted or one.objections]
    lines.append("frames: trained on + held out, of loops. Times are UTC.")
    return "\n".join(lines)


def to_data(line: Lineage) -> dict[str, Any]:
    """Return plain data, fit for JSON."""
    return {
        "in_use": line.used[-1] if line.used else None,
        "used": list(line.used),
        "models": [
            {
                "id": one.id,
                "file": str(one.file),
                "there": one.card is not None,
                "state": one.state,
                "made": one.made or None,
                "parent": one.parent or None,
                "task": (one.card.training.get("task") if one.card else None),
                "form": (one.card.training.get("form") if one.card else None),
                "train": one.train,
                "heldout": one.heldout,
                "loops": one.loops,
                "fingerprint": one.card.fingerprint if one.card else None,
                "changes": (one.card.training.get("changes") or {}) if one.card else {},
                "objections": list(one.objections),
                "accepted": list(one.accepted),
            }
            for one in line.models
        ],
        "acts": [{"at": act.at, "kind": act.kind, "model": act.model} for act in line.acts],
    }
