"""A picture of a task's best, median and worst images, true and predicted outlines on each.

Drawn with matplotlib's objects alone: pyplot keeps a state of its own, which a library must not touch. No file name is
printed, because it may hold a patient's; the line of the table leads to it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from m2dino.data.fmuia import Row, image_size, load_image
from m2dino.data.row_values import label_value
from m2dino.scoring.cases import ClassPrediction, Predicted
from m2dino.scoring.image_figures import RANKED, ImageFigures, quality
from m2dino.scoring.lengths import lengths_of
from m2dino.scoring.reliability import draw_confusion, draw_reliability
from m2dino.scoring.task_scores import TaskScores, classified
from m2dino.tasks import Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

# Told apart by people who see red and green alike, and both bright on grey: Okabe and Ito's sky blue and orange.
TRUTH, PREDICTION = "#56b4e9", "#ff9d1a"
_UNIT = {"segmentation": "DSC {:.3f}", "detection": "IoU {:.3f}", "regression": "MRE {:.1f} px"}
_DPI = 110
_INCHES = 2.35


def contact_sheet(
    scores: TaskScores,
    rows: Sequence[Row],
    fetch: Callable[[Sequence[Row], Task], Iterator[Callable[[], Predicted | None]]],
    across: int = 5,
) -> bytes:
    """Draw the best, the median and the worst images of a task.

    Parameters
    ----------
    scores : TaskScores
    rows : sequence of Row
        The rows of the task, in the order in which they were scored.
    fetch : Source
        Gives the predictions once more, of the rows that are shown.
    across : int
        Images of each kind.

    Returns
    -------
    bytes
        A PNG file.

    Raises
    ------
    DatasetError, MissingFileError
        An image, a label or a prediction is damaged.
    """
    task = scores.task
    picks = pick([quality(image) for image in scores.images], across)
    across = max(*(len(chosen) for chosen in picks.values()), 3)
    is_classes = task.type == "classification"
    # As high as most of the pictures need, and a line or two of text.
    sizes = [image_size(rows[i].image) for chosen in picks.values() for i in chosen]
    aspect = float(np.clip(np.median([height / width for height, width in sizes]), 0.4, 1.2)) if sizes else 1.0
    tall = _INCHES * aspect + (0.42 if is_classes else 0.3)
    wide, side = _INCHES * across, 4.2 if is_classes else 0.0
    figure = Figure(figsize=(wide + side, max(tall * len(picks) + 0.75, 6 if is_classes else 0)), dpi=_DPI)
    FigureCanvasAgg(figure)
    figure.patch.set_facecolor("white")
    panels: Any = figure.subfigures(1, 2, width_ratios=(wide, side)) if is_classes else [figure]
    grid: Any = panels[0].subplots(len(picks), across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (kind, chosen) in zip(grid, picks.items(), strict=True):
        shown = [rows[i] for i in chosen]
        for axes, i, row, get in zip(line, chosen, shown, fetch(shown, task), strict=False):
            axes.imshow(load_image(row.image))
            truth = label_value(row)
            draw_value(axes, task, truth, TRUTH, "-")
            predicted = get()
            if predicted is not None and not isinstance(predicted, ClassPrediction):
                draw_value(axes, task, predicted, PREDICTION, "--")
            axes.set_title(_caption(task, scores.images[i], truth, predicted, row.line), fontsize=7.5, pad=3)
        line[0].text(-0.05, 0.5, kind, transform=line[0].transAxes, rotation=90, ha="right", va="center", fontsize=10)
    _head(figure, scores)
    panels[0].subplots_adjust(
        left=0.04, right=0.99, top=1 - 0.8 / figure.get_figheight(), bottom=0.02, wspace=0.05, hspace=0.2
    )
    if is_classes:
        _side(panels[1], scores)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def pick(qualities: Sequence[float], across: int) -> dict[str, list[int]]:
    """Return the indices to show, by kind: best, median, worst, `across` of each at most and none twice."""
    known = [i for i in range(len(qualities)) if not math.isnan(qualities[i])]
    order = sorted(known, key=lambda i: -qualities[i])
    if len(order) < 3:
        return {"all": order}
    count = min(across, len(order) // 3)
    start = (len(order) - count) // 2
    return {"best": order[:count], "median": order[start : start + count], "worst": order[-count:]}


def draw_value(axes: Axes, task: Task, value: Value, colour: str, style: str) -> None:
    """Draw a mask's outline, a box or points; a class has no place in the image."""
    if isinstance(value, Mask):
        for index in range(1, task.num_classes):
            if (value.labels == index).any():
                # A border of zeros closes outlines that run into the edge of the image.
                padded = np.pad(value.labels == index, 1).astype(float)
                y, x = (np.arange(-1, length + 1) for length in value.labels.shape)
                axes.contour(x, y, padded, levels=[0.5], colors=colour, linewidths=1.3, linestyles=style)
    elif isinstance(value, Box):
        y_min, x_min, y_max, x_max = value.as_tuple()
        # The end is exclusive, and pixel (0, 0) begins at -0.5.
        corner, size = (x_min - 0.5, y_min - 0.5), (x_max - x_min, y_max - y_min)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=1.4, linestyle=style))
    elif isinstance(value, Keypoints):
        points = value.points
        for length in lengths_of(task):
            ends = points[[length.start, length.end]]
            axes.plot(ends[:, 1], ends[:, 0], color=colour, linewidth=1.1, linestyle=style)
        axes.plot(points[:, 1], points[:, 0], "o", color=colour, markersize=3.5, markeredgewidth=0)


def _caption(task: Task, image: ImageFigures, truth: Value, predicted: Predicted | None, line: int) -> str:
    if isinstance(truth, ClassProbabilities) and isinstance(predicted, ClassPrediction):
        named = f"{task.label_names[predicted.chosen]}"
        if predicted.probabilities is not None:
            named += f" {predicted.probabilities[predicted.chosen]:.2f}"
        verdict = "right" if predicted.chosen == truth.index else "wrong"
        return f"{verdict}: said {named}\nis {task.label_names[truth.index]} · line {line}"
    value = float(np.mean(image.values[RANKED[task.type][0]]))
    return f"{_UNIT[task.type].format(value)} · line {line}"


def _head(figure: Figure, scores: TaskScores) -> None:
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.12 / height, scores.task.title, fontsize=12, weight="bold", va="top")
    told = [f"{scores.counts['scored']} images"]
    for name, metric in list(scores.official.items())[:2]:
        digits, unit = (1, " px") if name in ("HD", "MRE") else (3, "")
        interval = f" ({metric.low:.{digits}f} to {metric.high:.{digits}f})" if math.isfinite(metric.low) else ""
        told.append(f"{name} {metric.value:.{digits}f}{unit}{interval}")
    figure.text(0.02, 1 - 0.34 / height, " · ".join(told), fontsize=8.5, va="top")
    if scores.task.type != "classification":
        handles: list[Any] = [
            Line2D([], [], color=TRUTH, linestyle="-", label="truth"),
            Line2D([], [], color=PREDICTION, linestyle="--", label="prediction"),
        ]
        figure.legend(handles=handles, loc="upper right", ncols=2, frameon=False, fontsize=8.5)


def _side(panel: Any, scores: TaskScores) -> None:
    cases = classified(scores.task, scores.images)
    if cases is None:
        return
    upper, lower = panel.subplots(2, 1)
    draw_confusion(upper, cases, scores.task.label_names)
    draw_reliability(lower, cases, scores.clinical.get("ECE"))
    panel.subplots_adjust(left=0.27, right=0.95, top=0.88, bottom=0.13, hspace=0.5)
