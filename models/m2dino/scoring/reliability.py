"""What a classification task gets wrong, and how far its probabilities can be believed: two diagrams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from m2dino.classification_metrics import ECE_BINS, Classified, bin_of, confidences
from m2dino.scoring.bootstrap import Metric


def draw_confusion(axes: Axes, cases: Classified, names: Sequence[str]) -> None:
    """Draw how many images of each true class (rows) were given each class (columns)."""
    table = cases.confusion()(np.ones((1, len(cases.truth))))[0].astype(int)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, fontsize=7.5, rotation=30 if len(names) > 3 else 0)
    axes.set_yticks(ticks, names, fontsize=7.5)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
    axes.set_title("Images by class", fontsize=9)


def draw_reliability(axes: Axes, cases: Classified, error: Metric | None) -> None:
    """Draw the share of right answers against the probability given for them, and how many images lie where.

    The diagram of Guo et al., ICML 2017 (see `calibration_error`): bars on the diagonal can be believed.
    """
    axes.set_title("Reliability" if error is None else f"Reliability, ECE {error.value:.3f}", fontsize=9)
    if cases.probabilities is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no probabilities", ha="center", va="center", fontsize=8)
        return
    confidence, right = confidences(cases)
    bins = bin_of(confidence)
    counts = np.bincount(bins, minlength=ECE_BINS)
    hits = np.bincount(bins, weights=right.astype(float), minlength=ECE_BINS)
    used = counts > 0
    centres = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
    shares = hits[used] / counts[used]
    axes.bar(centres[used], shares, width=0.9 / ECE_BINS, color="#0072b2", label="share that is right")
    axes.bar(centres, 0.25 * counts / counts.max(), width=0.9 / ECE_BINS, color="#999999", alpha=0.6, label="images")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.tick_params(labelsize=7.5)
    axes.set_xlabel("probability of the predicted class", fontsize=8)
    axes.set_ylabel("share that is right", fontsize=8)
    axes.legend(fontsize=7.5, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
