"""Distances between outlines, and the share of pixels found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from m2dino.scoring.cases import Case
from m2dino.scoring.image_figures import image_figures
from m2dino.scoring.masks import distances, outline, sensitivity_specificity
from m2dino.tasks import Label, Task
from m2dino.values import Mask
from scipy.spatial.distance import cdist
from sklearn import metrics as sk

from tests.metrics.reference import itk_hausdorff

SETS = hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))
PAIRS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, st.just(shape)), hnp.arrays(bool, st.just(shape)))
)


def by_hand(pixels: np.ndarray) -> np.ndarray:
    """Return the (y, x) of the pixels of a set that have a side that is not in it."""
    inside = {tuple(point) for point in np.argwhere(pixels).tolist()}
    sides = ((0, 1), (1, 0), (0, -1), (-1, 0))
    return np.array([p for p in inside if any((p[0] + dy, p[1] + dx) not in inside for dy, dx in sides)]).reshape(-1, 2)


@given(SETS)
@settings(deadline=None)
def test_the_outline_is_the_pixels_with_a_side_outside(pixels: np.ndarray) -> None:
    assert {tuple(p) for p in np.argwhere(outline(pixels)).tolist()} == {tuple(p) for p in by_hand(pixels).tolist()}


@given(PAIRS)
@settings(deadline=None, max_examples=150)
def test_distances_are_those_between_all_pairs_of_outline_pixels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    pred, truth = pair
    ours = distances(pred, truth)
    if not (pred.any() and truth.any()):
        assert math.isnan(ours.hd95)
        assert math.isnan(ours.assd)
        assert ours.hausdorff == (math.hypot(*truth.shape) if pred.any() or truth.any() else 0)
        return
    apart = cdist(by_hand(pred), by_hand(truth))
    there, back = apart.min(axis=1), apart.min(axis=0)
    assert ours.hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert ours.assd == pytest.approx(np.concatenate([there, back]).mean())
    whole = cdist(np.argwhere(pred), np.argwhere(truth))
    assert ours.hausdorff == pytest.approx(max(whole.min(axis=1).max(), whole.min(axis=0).max()))


def test_a_disc_moved_by_six_pixels_is_that_far_off_in_mm_too() -> None:
    y, x = np.mgrid[0:120, 0:160]
    truth = (y - 60) ** 2 + (x - 70) ** 2 < 30**2
    pred = np.roll(truth, 6, axis=1)
    task = Task("own", "segmentation", (Label("background"), Label("disc")), "Own")
    case = Case(Mask(pred.astype(np.uint8)), Mask(truth.astype(np.uint8)), "a", pixel_mm=0.25)
    figures = {name: value[0] for name, value in image_figures(task, case).values.items()}
    assert figures["HD"] == pytest.approx(6, abs=0.5)
    assert 5 < figures["HD95_px"] <= 6.1
    assert 3 < figures["ASSD_px"] < 4.5  # the mean of 6 |cos| around a circle is 6 · 2 / pi
    for name in ("HD95", "ASSD"):
        assert figures[f"{name}_mm"] == pytest.approx(0.25 * figures[f"{name}_px"])


def test_there_are_no_mm_without_a_scale() -> None:
    mask = Mask(np.eye(5, dtype=np.uint8))
    task = Task("own", "segmentation", (Label("background"), Label("line")), "Own")
    assert math.isnan(image_figures(task, Case(mask, mask, "a")).values["HD95_mm"][0])


@given(PAIRS)
@settings(deadline=None)
def test_sensitivity_and_specificity_are_the_recalls_of_both_sides(pair: tuple[np.ndarray, np.ndarray]) -> None:
    pred, truth = pair
    sensitivity, specificity = sensitivity_specificity(pred, truth)
    for ours, positive in ((sensitivity, True), (specificity, False)):
        if (truth == positive).any():
            assert ours == pytest.approx(
                sk.recall_score(truth.ravel(), pred.ravel(), pos_label=positive, zero_division=0)
            )
        else:
            assert math.isnan(ours)


def test_what_fills_a_ring_is_as_far_off_as_its_middle() -> None:
    """The official distance is between sets of pixels; between outlines it would be half as far."""
    y, x = np.mgrid[-40:41, -40:41]
    disc = y**2 + x**2 <= 30**2
    ring = disc & (y**2 + x**2 >= 20**2)
    ours = distances(disc, ring)
    assert ours.hausdorff == pytest.approx(itk_hausdorff(disc, ring), rel=1e-6) == 20
    assert ours.hd95 < 11
