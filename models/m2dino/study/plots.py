"""The pictures of a study, as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from m2dino.study.summary import Line, Summary

COLOURS = {"task-specific": "#555555", "clinically-grouped": "#b35900", "all-task": "#0b5c8f"}
TYPES = {"segmentation": "o", "classification": "s", "detection": "^", "regression": "D"}
ROUND = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
"""Labels of a logarithmic axis."""
LOSS, GAIN, OPEN = "#c0182b", "#18794e", "#8a8f98"


def _figure(width: float, height: float) -> Figure:
    # The object API: pyplot would keep global state and might open a window.
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def _verdict_colour(line: Line) -> str:
    return {"gain": GAIN, "loss": LOSS}.get(line.change.verdict, OPEN)


def changes(summary: Summary) -> bytes | None:
    """Draw the change of each task at the largest scale, a panel for each paradigm; None where there is none."""
    paradigms = [p for p in summary.plan.options.paradigms if p != "task-specific"]
    panels = {
        p: [line for line in summary.pooling if (line.paradigm, line.scale) == (p, summary.plan.full)]
        for p in paradigms
    }
    panels = {p: lines for p, lines in panels.items() if lines}
    return _forest({f"{p} against task-specific": lines for p, lines in panels.items()})


def arms(summary: Summary) -> bytes | None:
    """Draw the change of each task between kinds of network, a panel for each pair; None where there is none."""
    panels: dict[str, list[Line]] = {}
    for line in summary.arms:
        panels.setdefault(f"{line.arm} against {line.against}", []).append(line)
    return _forest(panels)


def _forest(panels: dict[str, list[Line]]) -> bytes | None:
    if not panels:
        return None
    tasks = sorted({(line.type, line.task) for lines in panels.values() for line in lines}, reverse=True)
    place = {task: number for number, (_, task) in enumerate(tasks)}
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = _figure(2.0 + 3.0 * columns, (1.2 + 0.28 * len(tasks)) * rows)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for row in axes:
        row[0].set_yticks(range(len(tasks)), [task for _, task in tasks])
    for axis in axes.ravel()[len(panels) :]:
        axis.set_visible(False)
    for axis, (title, lines) in zip(axes.ravel(), panels.items(), strict=False):
        axis.axvline(0, color="#333333", linewidth=0.8)
        for line in lines:
            y, colour = place[line.task], _verdict_colour(line)
            for interval, width in ((line.change.by_subjects, 3.0), (line.change.by_seeds, 1.0)):
                low, high = line.change.in_points(interval)
                if math.isfinite(low) and math.isfinite(high):
                    axis.plot([low, high], [y, y], color=colour, linewidth=width, alpha=0.6, solid_capstyle="butt")
            axis.plot(line.change.points, y, TYPES[line.type], color=colour, markersize=5)
        _bound(axis, [line.change.points for line in lines])
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("change, points (more is better)", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(axis="x", alpha=0.25)
    return _png(figure)


def _bound(axis: Any, values: Sequence[float]) -> None:
    """Keep an interval of two seeds, which may be huge, from squeezing the rest: cut it off at the panel's edge."""
    known = [abs(value) for value in values if math.isfinite(value)]
    reach = max(5.0, 2.2 * max(known, default=1.0))
    low, high = axis.get_xlim()
    axis.set_xlim(max(low, -reach), min(high, reach))


def _apart(counts: Iterable[float]) -> list[float]:
    """Return those of rising counts whose labels do not run into each other on a logarithmic axis of a small panel."""
    found: list[float] = []
    for count in sorted(counts):
        if not found or count > 1.3 * found[-1]:
            found.append(count)
    return found


def scales(summary: Summary) -> bytes | None:
    """Draw each task's figure over its number of training rows, a curve for each paradigm; None for one scale."""
    if len(set(summary.plan.options.scales)) < 2 or not summary.pooling:
        return None
    tasks = list(dict.fromkeys(line.task for line in summary.pooling))
    columns = min(4, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    figure = _figure(3.0 * columns, 2.3 * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(tasks) :]:
        axis.set_visible(False)
    for axis, task in zip(axes, tasks, strict=False):
        lines = sorted((line for line in summary.pooling if line.task == task), key=lambda line: line.rows)
        alone = {line.rows: line.change.reference for line in lines}
        axis.plot(list(alone), list(alone.values()), "o-", color=COLOURS["task-specific"], label="task-specific")
        for paradigm in dict.fromkeys(line.paradigm for line in lines):
            own = [line for line in lines if line.paradigm == paradigm]
            axis.plot(
                [line.rows for line in own],
                [line.change.value for line in own],
                "o-",
                color=COLOURS[paradigm],
                label=paradigm,
            )
        axis.set_xscale("log")
        axis.set_xticks(ticks := _apart(alone), [f"{count:.0f}" for count in ticks])
        axis.set_xticks([], minor=True)
        axis.set_title(task, fontsize=9)
        axis.set_ylabel(lines[0].change.metric + (" (px)" if lines[0].change.metric == "MRE" else ""), fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    figure.supxlabel("training rows", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    return _png(figure)


def amount(summary: Summary) -> bytes | None:
    """Draw the change by pooling all tasks over the number of a task's own rows; None where there is none."""
    lines = [line for line in summary.pooling if line.paradigm == "all-task"]
    if not lines:
        return None
    figure = _figure(6.4, 3.6)
    axis = figure.subplots()
    axis.axhline(0, color="#333333", linewidth=0.8)
    for number, (kind, marker) in enumerate(TYPES.items()):
        own = [line for line in lines if line.type == kind]
        if own:
            axis.plot(
                [line.rows for line in own],
                [line.change.points for line in own],
                marker,
                color=f"C{number}",
                label=kind,
                alpha=0.8,
            )
    axis.set_xscale("log")
    counts = [line.rows for line in lines]
    ticks = [tick for tick in ROUND if min(counts) / 1.5 <= tick <= 1.5 * max(counts)]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("training rows of the task itself, every scale")
    axis.set_ylabel("change by pooling all, points")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8)
    return _png(figure)


def experts(summary: Summary) -> bytes | None:
    """Draw how much each task uses each expert, block by block; None where there was no gate."""
    if not summary.gates:
        return None
    tasks = sorted(summary.gates)
    blocks, count = summary.gates[tasks[0]].shape
    figure = _figure(1.8 + 0.28 * blocks * count + 0.6, 1.3 + 0.3 * len(tasks))
    axis = figure.subplots()
    table = np.stack([summary.gates[task].ravel() for task in tasks])
    shown = axis.imshow(table, aspect="auto", cmap="viridis", vmin=0, vmax=max(2 / count, float(table.max())))
    for block in range(1, blocks):
        axis.axvline(block * count - 0.5, color="white", linewidth=2)
    axis.set_yticks(range(len(tasks)), tasks, fontsize=8)
    axis.set_xticks([block * count + (count - 1) / 2 for block in range(blocks)], [f"{b + 1}" for b in range(blocks)])
    axis.set_xlabel(f"mixture (the {count} experts of each side by side)", fontsize=9)
    figure.colorbar(shown, ax=axis, label="mean gate", shrink=0.8)
    return _png(figure)
