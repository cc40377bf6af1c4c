"""How often to draw each bundle, so that each task gets the share of learning that it should.

With several tasks a step, the share of a task is the sum over the bundles that carry it. The probabilities of the
bundles are those nearest to "every image equally often" (in relative entropy) that give each task its share, found by
generalised iterative scaling (Darroch & Ratcliff 1972). Where no probabilities can, because a task is on all the images
of others, the tasks that would come too often are left out of some steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from m2dino.training.bundles import Bundle

Floats = NDArray[np.float64]
ROUNDS = 2000
CLOSE = 1e-6
BY_IMAGES = 0.05  # share of steps drawn by number of images alone, so that no image is left out for good
LEAST_KEPT = 0.05


def rates(
    bundles: Sequence[Bundle], wanted: Mapping[str, float], tasks_per_step: int = 0
) -> tuple[Floats, dict[str, float]]:
    """Return the probability of each bundle, and of each task to be kept in a step of several tasks.

    Parameters
    ----------
    bundles : sequence of Bundle
    wanted : mapping of str to float
        Share of each task, summing to 1.
    tasks_per_step : int
        A step learns at most so many of its bundle's tasks; 0 for all.
    """
    names = sorted(wanted)
    target = np.array([wanted[name] for name in names])
    sizes = np.array([len(bundle.images) for bundle in bundles], dtype=float)
    by_images = sizes / sizes.sum()
    carries = np.array([[name in bundle.tasks for bundle in bundles] for name in names], dtype=float)
    count = carries.sum(axis=0)
    share = np.minimum(count, tasks_per_step or count) / count
    drawn = by_images.copy()
    for _ in range(ROUNDS):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(target > 0, target / _shares(carries, drawn * share), 0.0)
            factor = np.exp((carries * np.log(np.maximum(ratio, 1e-12))[:, None]).sum(axis=0) / count)
        drawn = drawn * factor
        drawn /= drawn.sum()
        if np.abs(ratio[target > 0] - 1).max() < CLOSE:
            break
    several = count > 1
    if several.any():
        drawn = (1 - BY_IMAGES) * drawn + BY_IMAGES * by_images
    # Only a step of several tasks can do without one, so only there can a task's surplus be taken back.
    alone, together = (carries @ (drawn * share * part) for part in (~several, several))
    return drawn, _kept(names, target, alone, together)


def _shares(carries: Floats, drawn: Floats) -> Floats:
    each = carries @ drawn
    shares: Floats = each / each.sum()
    return shares


def _kept(names: Sequence[str], target: Floats, alone: Floats, together: Floats) -> dict[str, float]:
    """How likely a task stays in a step of several: as `target` asks, measured by the task that is scarcest."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.min(np.where(target > 0, (alone + together) / target, np.inf))
        kept = np.where(together > 0, (scale * target - alone) / together, 1.0)
    return {name: float(value) for name, value in zip(names, np.clip(kept, LEAST_KEPT, 1.0), strict=True)}
