"""A picture of a run: the loss of each task, and the scores on held-out rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np

POINTS = 100


def draw_curves(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Draw the lines of a run's metrics.csv (see `run_folder`) as a PNG."""
    # The object API: pyplot would keep global state and might open a window.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    tasks = sorted({row["task"] for row in rows})
    for column, axis, title in (("loss", axes[0], "training loss"), ("score", axes[1], "score on held-out rows")):
        for number, task in enumerate(tasks):
            points = [(int(row["step"]), float(row[column])) for row in rows if row["task"] == task and row[column]]
            points = [point for point in points if np.isfinite(point[1])]
            if not points:
                continue
            x, y = _thinned(np.array(points))
            if task == "all":
                axis.plot(x, y, "k.-", linewidth=2, label="all (mean over types)", zorder=3)
            else:
                style = ("-", "--", ":")[number // 10 % 3]
                axis.plot(x, y, style, color=f"C{number % 10}", linewidth=1, marker=".", markersize=3, label=task)
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=6, ncols=1 + len(axis.lines) // 12)
    losses = [float(row["loss"]) for row in rows if row["loss"] and np.isfinite(float(row["loss"]))]
    if losses and min(losses) > 0:
        axes[0].set_yscale("log")
    axes[1].set_ylim(0, 1)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def _thinned(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over stretches of the run, so that no curve has more than POINTS points."""
    parts = np.array_split(points, min(POINTS, len(points)))
    means = np.array([part.mean(axis=0) for part in parts])
    return means[:, 0], means[:, 1]
