"""A comparison as a folder: plain data for programs, pictures, and a page for people. Reading it needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from m2dino.data.durable import write_whole
from m2dino.errors import TrainingError
from m2dino.training.task_rows import SHOWN, TaskRow

FORMAT, VERSION = "m2dino-comparison", 1
NOTHING = 5e-5
"""Shares of less are rounded to 0 where they are measured."""
DATA, PAGE = "comparison.json", "index.html"


@dataclass(frozen=True)
class FramePicture:
    """One held-out frame of a report.

    Attributes
    ----------
    file : str
        The picture, by its name within the folder: before, after and label side by side.
    loop, frame : int
        Number of the loop within the report, from 1, and of the frame within the loop, from 0.
    before, after, truth : str
        In words: the figure of the frame, or the class.
    """

    file: str
    loop: int
    frame: int
    before: str
    after: str
    truth: str


@dataclass(frozen=True)
class Experts:
    """How a model uses its experts; see `comparison.Usage`."""

    gates: tuple[tuple[float, ...], ...] = ()
    own: tuple[float, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Experts:
        return cls(tuple(tuple(row) for row in data.get("gates", ())), tuple(data.get("own", ())))


def own_in_words(own: Sequence[float]) -> str:
    """Say what a task's private expert does, from its share of what comes out of each mixture; empty without one.

    It stands beside the gates, whose weights are of the shared experts alone and sum to 1 without it.
    """
    if not own:
        return ""
    low, high = min(own), max(own)
    if high < NOTHING:
        return (
            "Its own expert adds nothing: it starts at nothing and learns in the last fifth of the steps only, and the "
            "state that did best on the held-out frames is from before."
        )
    share = f"{high:.1%}" if f"{low:.1%}" == f"{high:.1%}" else f"{low:.1%} to {high:.1%}"
    return f"Its own expert adds {share} of what comes out of each mixture, beside the gates."


@dataclass(frozen=True)
class Report:
    """What a folder tells.

    Attributes
    ----------
    task, before_id, after_id : str
    rows : tuple of TaskRow
        The tasks that were measured, the fine-tuned one first.
    unchanged : int
        Tasks that cannot have changed.
    warnings : tuple of str
        What the guard holds against the new model.
    frames : tuple of FramePicture
        The worst first.
    heldout : int
        Held-out frames in all; the best of many have no picture.
    experts_before, experts_after : Experts
    cautions : tuple of str
        What the labels could not teach or vouch for.
    """

    task: str
    before_id: str
    after_id: str
    rows: tuple[TaskRow, ...]
    unchanged: int = 0
    warnings: tuple[str, ...] = ()
    frames: tuple[FramePicture, ...] = ()
    heldout: int = 0
    experts_before: Experts = Experts()
    experts_after: Experts = Experts()
    cautions: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1) + "\n"


def write_report(report: Report, pictures: Mapping[str, bytes], folder: Path) -> None:
    """Write a report; its data file comes last, so that a folder that has one is whole.

    Raises
    ------
    TrainingError
        The disk refuses.
    """
    try:
        for name, data in pictures.items():
            write_whole(folder / name, data)
        write_whole(folder / PAGE, to_html(report).encode())
        write_whole(folder / DATA, report.to_json().encode())
    except OSError as error:
        raise TrainingError(
            f"{folder}: the report cannot be written ({error.strerror}); free some space or choose another folder."
        ) from error


def read_report(folder: Path) -> Report:
    """Read a report.

    Raises
    ------
    TrainingError
        There is none, or it is of another kind.
    """
    try:
        data: dict[str, Any] = json.loads((folder / DATA).read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT or data.pop("version") != VERSION:
            raise ValueError("of another kind or version")
        return Report(
            **{
                **data,
                "rows": tuple(map(TaskRow.from_dict, data["rows"])),
                "warnings": tuple(data["warnings"]),
                "cautions": tuple(data.get("cautions", ())),
                "frames": tuple(FramePicture(**one) for one in data["frames"]),
                "experts_before": Experts.from_dict(data["experts_before"]),
                "experts_after": Experts.from_dict(data["experts_after"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{folder}: not a report of a fine-tuning, or not a whole one ({error}).") from error


_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Before and after</title><style>
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse}td,th{padding:.25rem .8rem;border-bottom:1px solid #ccd2da;text-align:left}
.harm{color:#c0182b;font-weight:600}.better{color:#18794e}figure{margin:1.2rem 0}img{max-width:100%}
figcaption{display:grid;grid-template-columns:1fr 1fr 1fr;font-size:14px}.own{border-left:2px solid #888}
</style>"""


def to_html(report: Report) -> str:
    """Return a page that needs nothing but the pictures beside it."""
    lines = [_HEAD, f"<h1>{_safe(report.task)}: before and after</h1>"]
    lines.append(f"<p>Before: {_safe(report.before_id)}. After: {_safe(report.after_id)}.</p>")
    lines += [f'<p class="harm">{_safe(text)}</p>' for text in report.warnings]
    lines += [f"<p>{_safe(text)}</p>" for text in report.cautions]
    lines.append("<table><tr><th>task<th>before<th>after<th>change (95 % interval)<th>held out</tr>")
    for row in report.rows:
        kind = "harm" if row.harmed else "better" if row.better else ""
        digits = 1 if row.lower_is_better else 3
        was = "not known" if row.before is None else f"{row.before.value:.{digits}f}"
        moved = "" if row.difference is None else f"{row.difference.value:+.{digits}f}"
        if row.difference is not None and row.difference.low is not None and row.difference.high is not None:
            moved += f" ({row.difference.low:+.{digits}f} to {row.difference.high:+.{digits}f})"
        lines.append(
            f'<tr class="{kind}"><td>{_safe(row.task)}<td>{SHOWN.get(row.metric, row.metric)} {was}'
            f"<td>{row.after.value:.{digits}f}<td>{moved}<td>{row.after.n}</tr>"
        )
    lines.append("</table>")
    if report.unchanged:
        lines.append(f"<p>{report.unchanged} other tasks cannot have changed: nothing that they use was trained.</p>")
    lines.append("<h2>How the task uses the experts</h2>" + _experts(report))
    lines.append(f"<h2>Held-out frames, the worst first ({len(report.frames)} of {report.heldout})</h2>")
    for one in report.frames:
        lines.append(
            f'<figure><img src="{_safe(one.file)}" alt="before, after and label"><figcaption><span>before '
            f"{_safe(one.before)}</span><span>after {_safe(one.after)}</span><span>label {_safe(one.truth)}"
            f"<br>loop {one.loop}, frame {one.frame}</span></figcaption></figure>"
        )
    return "\n".join(lines) + "</html>\n"


def _experts(report: Report) -> str:
    told = []
    for name, used in (("before", report.experts_before), ("after", report.experts_after)):
        if not used.gates:
            continue
        rows = []
        for number, gates in enumerate(used.gates):
            cells = "".join(f"<td>{gate:.2f}" for gate in gates)
            own = f'<td class="own">{used.own[number]:.1%}' if number < len(used.own) else ""
            rows.append(f"<tr><td>mixture {number + 1}{cells}{own}</tr>")
        heads = "".join(f"<th>expert {number + 1}" for number in range(len(used.gates[0])))
        own = '<th class="own">its own' if used.own else ""
        told.append(f"<h3>{name}</h3><table><tr><th>mean gate{heads}{own}</tr>{''.join(rows)}</table>")
    note = f"<p>{own_in_words(report.experts_after.own)}</p>" if report.experts_after.own else ""
    return "".join(told) + note if told else "<p>This network has no gates.</p>"


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
