"""Sensitivity, specificity, balanced accuracy and calibration of classes; lengths of points; their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m2dino.classification_metrics import Classified, classification_scores, clinical_scores
from m2dino.scoring.bootstrap import DRAWS, Resampling
from m2dino.scoring.cases import Case, ClassPrediction
from m2dino.scoring.lengths import circumference, crosses, lengths_of
from m2dino.scoring.task_scores import score_cases
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints
from scipy.integrate import quad
from sklearn import metrics as sk


def classes(seed: int, n: int, count: int) -> Classified:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(count), n)
    truth = np.where(rng.random(n) < 0.5, probabilities.argmax(axis=1), rng.integers(0, count, n))
    return Classified(probabilities.argmax(axis=1), truth, count, probabilities)


def points_task(*names: str) -> Task:
    return Task("own", "regression", tuple(Label(name) for name in names), "Own")


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 5))
@settings(deadline=None, max_examples=60)
def test_rates_and_calibration_error_are_those_worked_out_image_by_image(seed: int, n: int, count: int) -> None:
    cases = classes(seed, n, count)
    names = [f"c{i}" for i in range(count)]
    whole = np.ones((1, n))
    ours = {name: float(statistic(whole)[0]) for name, statistic in clinical_scores(cases, names).items()}
    truth, chosen = cases.truth, cases.chosen
    present = np.unique(truth)
    recalls = sk.recall_score(truth, chosen, labels=present, average=None, zero_division=0)
    assert ours["Balanced_accuracy"] == pytest.approx(recalls.mean())
    for c in range(1 if count == 2 else 0, count):
        true, false = truth == c, truth != c
        for name, side, right in (("Sensitivity", true, chosen == c), ("Specificity", false, chosen != c)):
            value = ours[f"{name} ({names[c]})"]
            assert math.isnan(value) if not side.any() else value == pytest.approx(right[side].mean())
    assert ("Sensitivity (c0)" in ours) == (count > 2)
    assert cases.probabilities is not None
    confidence = cases.probabilities.max(axis=1)
    error = 0.0
    for step in range(15):
        inside = [i for i in range(n) if step / 15 < confidence[i] <= (step + 1) / 15]
        if inside:
            error += abs(np.mean([truth[i] == chosen[i] for i in inside]) - confidence[inside].mean()) * len(inside) / n
    assert ours["ECE"] == pytest.approx(error, abs=1e-9)


def test_a_class_that_is_named_against_the_odds_decides_the_accuracy_and_not_the_auc() -> None:
    task = Task("own", "classification", (Label("no"), Label("yes")), "Own")
    cases = [
        Case(ClassPrediction(1, np.array([0.7, 0.3])), ClassProbabilities.certain(1, 2), "a"),
        Case(ClassPrediction(0, np.array([0.8, 0.2])), ClassProbabilities.certain(0, 2), "b"),
    ]
    scores = score_cases(task, cases)
    assert scores.official["Accuracy"].value == 1
    assert scores.official["AUC"].value == 1
    # Right both times at 0.3 and at 0.8: neither is a probability to rely on.
    assert scores.clinical["ECE"].value == pytest.approx((0.7 + 0.2) / 2)


def test_without_probabilities_the_official_auc_is_zero_and_the_sound_one_unknown() -> None:
    task = Task("own", "classification", (Label("no"), Label("yes")), "Own")
    cases = [Case(ClassPrediction(i, None), ClassProbabilities.certain(i, 2), i) for i in (0, 1)]
    scores = score_cases(task, cases)
    assert scores.official["AUC"].value == 0
    assert math.isnan(scores.official["AUC_sound"].value)
    assert scores.official["F1_macro"].value == 1
    assert "ECE" not in scores.clinical
    assert scores.counts["without_probabilities"] == 2


@given(st.integers(0, 2**32 - 1), st.integers(3, 20))
@settings(deadline=None, max_examples=20)
def test_an_interval_is_that_of_scoring_every_resampling_anew(seed: int, n: int) -> None:
    cases = classes(seed, n, 3)
    groups = (np.arange(n) // 2).tolist()
    resampling = Resampling(groups, seed)
    weights = resampling.weights
    assert weights.shape == (DRAWS, n)
    statistics = {**classification_scores(cases), **clinical_scores(cases, ["a", "b", "c"])}
    for draw in (0, 1, 2):
        chosen = np.repeat(np.arange(n), weights[draw].astype(int))
        assert len({groups[i] for i in chosen}) <= len(set(groups))
        assert cases.probabilities is not None
        again = Classified(cases.chosen[chosen], cases.truth[chosen], 3, cases.probabilities[chosen])
        once = np.ones((1, len(chosen)))
        for name, statistic in {**classification_scores(again), **clinical_scores(again, ["a", "b", "c"])}.items():
            assert statistics[name](weights[[draw]]) == pytest.approx(statistic(once), nan_ok=True), name


def test_a_mean_leaves_out_what_is_not_defined_class_by_class() -> None:
    table = np.array([[1.0, np.nan], [3.0, 10.0], [np.nan, np.nan]])
    metric = Resampling(["a", "b", "c"]).mean(table)
    assert (metric.value, metric.n) == (6, 2)  # (1 + 3) / 2 and 10
    assert 1 <= metric.low <= metric.value <= metric.high <= 10
    assert math.isnan(Resampling(["a", "a", "a"]).mean(table).low)
    assert Resampling(["a"]).mean(np.array([[np.nan]])).n == 0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("OFD left", "OFD right", "BPD upper", "BPD lower"), [("OFD", 0, 1), ("BPD", 2, 3)]),
        (("OFD left end", "BPD upper end", "OFD right end", "BPD lower end"), [("OFD", 0, 2), ("BPD", 1, 3)]),
        (("anterior wall", "posterior wall"), [("length", 0, 1)]),
        (("point 1", "point 2"), [("length", 0, 1)]),
        (("point 1", "point 2", "point 3", "point 4"), [("length_1_2", 0, 1), ("length_3_4", 2, 3)]),
        (("apex", "mitral left", "mitral right"), [("mitral", 1, 2)]),
        (("a", "b", "c"), []),
        (("point 1",), []),
    ],
)
def test_labels_tell_which_points_measure_a_length(
    names: tuple[str, ...], expected: list[tuple[str, int, int]]
) -> None:
    assert [(each.name, each.start, each.end) for each in lengths_of(points_task(*names))] == expected


def test_the_lengths_of_the_known_tasks() -> None:
    known = {task.id: [each.name for each in lengths_of(task)] for task in builtin_tasks() if task.type == "regression"}
    assert known == {"FUGC": ["length"], "IUGC": ["symphysis"], "fetal_femur": ["femur"]}


@given(st.floats(0.5, 300), st.floats(0.5, 300))
@settings(deadline=None)
def test_circumference_is_the_arc_length_of_the_ellipse(one: float, other: float) -> None:
    arc, _ = quad(lambda t: math.hypot(one / 2 * math.sin(t), other / 2 * math.cos(t)), 0, 2 * math.pi, limit=200)
    assert circumference(one, other) == pytest.approx(arc, rel=1e-6)
    assert circumference(one, one) == pytest.approx(math.pi * one)


def test_errors_of_a_head_are_in_px_mm_and_percent() -> None:
    task = points_task("OFD left", "OFD right", "BPD upper", "BPD lower")
    truth = np.array([[50.0, 0], [50, 100], [10, 50], [90, 50]])
    larger = (truth - 50) * 1.1 + 50
    smaller = (truth - 50) * 0.9 + 50
    cases = [Case(Keypoints(p), Keypoints(truth), g, pixel_mm=0.2) for g, p in enumerate((larger, smaller))]
    clinical = score_cases(task, cases).clinical
    told = {name: metric.value for name, metric in clinical.items()}
    assert told["OFD_error_px"] == pytest.approx(10)
    assert told["OFD_error_mm"] == pytest.approx(2)
    assert told["BPD_error_percent"] == pytest.approx(10)
    assert told["circumference_error_percent"] == pytest.approx(10)
    assert told["circumference_bias_percent"] == pytest.approx(0, abs=1e-9)
    assert told["circumference_error_mm"] == pytest.approx(0.1 * 0.2 * circumference(100, 80))


def test_two_lengths_that_do_not_cross_have_no_circumference() -> None:
    task = points_task("point 1", "point 2", "point 3", "point 4")
    apart = np.array([[0.0, 0], [0, 10], [5, 0], [5, 10]])
    across = np.array([[5.0, 0], [5, 10], [0, 5], [10, 5]])
    one, two = lengths_of(task)
    assert crosses(one, two, across)
    assert not crosses(one, two, apart)
    assert not crosses(one, two, np.vstack([across[:3], [[np.nan, np.nan]]]))
    for truths, there in (([across, across], True), ([across, apart], False)):
        cases = [Case(Keypoints(across), Keypoints(truth), i) for i, truth in enumerate(truths)]
        assert ("circumference_error_percent" in score_cases(task, cases).clinical) == there


def test_an_end_that_is_hidden_leaves_its_length_out() -> None:
    task = points_task("point 1", "point 2")
    truth = np.array([[0.0, 0], [0, 10]])
    hidden = np.array([[0.0, 0], [np.nan, np.nan]])
    cases = [Case(Keypoints(truth), Keypoints(truth), "a"), Case(Keypoints(truth), Keypoints(hidden), "b")]
    clinical = score_cases(task, cases).clinical
    assert (clinical["length_error_px"].value, clinical["length_error_px"].n) == (0, 1)
    assert "length_error_mm" not in clinical


def test_a_lesion_without_a_box_counts_as_not_found() -> None:
    task = Task("own", "detection", (Label("lesion"),), "Own")
    box = Box(0, 0, 10, 10)
    scores = score_cases(task, [Case(box, box, "a"), Case(None, box, "b"), Case(Box(0, 4, 10, 14), box, "c")])
    assert scores.official["IoU"].n == 2
    assert scores.clinical["Sensitivity_IoU50"].value == pytest.approx(1 / 3)
