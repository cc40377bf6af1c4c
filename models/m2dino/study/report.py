"""A study as one HTML page that needs nothing beside it: no script, no network, its pictures inside."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from m2dino.study import plots
from m2dino.study.changes import Change, Interval
from m2dino.study.reading import reading
from m2dino.study.results import write
from m2dino.study.summary import Line, Summary
from m2dino.study.tables import to_csv, to_json

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2024; background: #fff; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem } p, figcaption { max-width: 52rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #e2e5e9; text-align: right; white-space: nowrap }
th:first-child, td:first-child, .text { text-align: left }
.loss { color: #c0182b; font-weight: 600 } .gain { color: #18794e; font-weight: 600 } .open { color: #60646c }
img { max-width: 100%; height: auto } figcaption, .note { color: #60646c; font-size: .85rem }
figure { margin: 1rem 0 }
"""
POINTS = (
    "Points are hundredths of Dice, accuracy or IoU; of a radial error, percent of the reference. More is always "
    "better. First interval: 95 % over subjects (bootstrap); second: 95 % over seeds (Student's t). A task alone "
    "in its clinical group is left out there: its network is the same."
)
VERDICTS = {"loss": "loss", "gain": "gain"}
SHOWN = {"loss": "negative transfer", "gain": "gain", "loss not shown": "lower, not shown",
         "gain not shown": "higher, not shown", "no change": "no change"}  # fmt: skip


def write_report(summary: Summary, out: Path) -> None:
    """Write report.html, table.csv and results.json.

    Raises
    ------
    StudyError
        The folder cannot be written.
    """
    write(out / "table.csv", to_csv([*summary.pooling, *summary.arms]))
    write(out / "results.json", to_json(summary))
    write(out / "report.html", to_html(summary))


def to_html(summary: Summary) -> str:
    """Return the page."""
    plan = summary.plan
    parts = [
        "<h1>Which tasks to train together: a study</h1>",
        *(f"<p>{escape(text)}</p>" for text in reading(summary)),
        f'<p class="note">{POINTS}</p>',
    ]
    for paradigm in ("all-task", "clinically-grouped"):
        for scale in sorted(set(plan.options.scales), reverse=True):
            lines = [line for line in summary.pooling if (line.paradigm, line.scale) == (paradigm, scale)]
            if lines:
                parts.append(f"<h2>{paradigm} against task-specific, {100 * scale:g} % of the subjects</h2>")
                parts.append(_lines(lines))
    parts.append(
        _picture(
            plots.changes(summary),
            "Change of each task with all the data. Thick: interval over subjects; "
            "thin: over seeds, cut off at the panel's edge. Red is shown to be worse, green to be better.",
        )
    )
    if summary.types:
        parts += ["<h2>Means by type of task</h2>", _types(summary)]
    parts.append(_picture(plots.scales(summary), "Each task's figure with less and with more data."))
    parts.append(
        _picture(plots.amount(summary), "Who gains from pooling all tasks: those with little data of their own?")
    )
    if summary.arms:
        parts += ["<h2>Kinds of network, all tasks together</h2>", _costs(summary)]
        for arm, against in dict.fromkeys((line.arm, line.against) for line in summary.arms):
            own = [line for line in summary.arms if (line.arm, line.against) == (arm, against)]
            parts += [f"<h3>{escape(arm)} against {escape(against)}</h3>", _lines(own)]
        parts.append(_picture(plots.arms(summary), "Change of each task between kinds of network."))
    if summary.gates:
        parts.append("<h2>Which experts the tasks use</h2>")
        parts.append(
            _picture(
                plots.experts(summary),
                f"Mean gates of {plan.base}, one seed. Rows that look alike are "
                "tasks that the gate does not tell apart.",
            )
        )
    if summary.failed:
        parts += [
            "<h2>Runs that failed</h2>",
            "<ul>",
            *(f"<li>{escape(text)}</li>" for text in summary.failed),
            "</ul>",
        ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>M2DINO study</title><style>{STYLE}</style></head>\n<body>\n{body}\n'
        "</body></html>\n"
    )


def _picture(png: bytes | None, caption: str) -> str:
    if png is None:
        return ""
    source, text = f"data:image/png;base64,{base64.b64encode(png).decode()}", escape(caption)
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>\n{body}</table></div>'


def _lines(lines: Sequence[Line]) -> str:
    # What was found comes second: on a narrow screen it must not be what is scrolled away.
    head = ("task", "", "points", "over subjects", "over seeds", "seeds", "metric", "before", "here", "trained on")
    return _table(
        head,
        [
            (
                escape(line.task),
                f'<span class="{VERDICTS.get(line.change.verdict, "open")}">{SHOWN[line.change.verdict]}</span>',
                f"{line.change.points:+.1f}",
                _interval(line.change.in_points(line.change.by_subjects)),
                _interval(line.change.in_points(line.change.by_seeds)),
                str(line.seeds),
                line.change.metric,
                _value(line.change, line.change.reference),
                _value(line.change, line.change.value),
                f"{line.rows:.0f} rows of {line.subjects:.0f} subjects",
            )
            for line in lines
        ],
    )


def _types(summary: Summary) -> str:
    rows = [
        (
            mean.type,
            mean.paradigm if mean.against == "task-specific" else escape(mean.arm),
            escape(mean.against),
            f"{100 * mean.scale:g} %",
            str(mean.tasks),
            f"{mean.points:+.1f}",
            _interval(mean.by_seeds),
        )
        for mean in summary.types
    ]
    return _table(("type", "network", "against", "subjects", "tasks", "points", "over seeds"), rows)


def _costs(summary: Summary) -> str:
    rows = [(escape(cost.arm), f"{cost.parameters / 1e6:.1f} M", f"{cost.seconds:.0f} s") for cost in summary.costs]
    return _table(("network", "parameters", "training"), rows)


def _value(change: Change, value: float) -> str:
    return f"{value:.1f} px" if change.metric == "MRE" else f"{value:.3f}"


def _interval(interval: Interval) -> str:
    return f"{interval[0]:+.1f} to {interval[1]:+.1f}" if all(map(math.isfinite, interval)) else "-"
