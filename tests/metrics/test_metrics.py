"""The official metrics, against scikit-learn, SimpleITK and figures worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from m2dino.metrics import Metric, bootstrap_interval, dice, hausdorff, iou, radial_error, score_task
from m2dino.scoring.masks import stretched
from m2dino.tasks import Label, Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask
from sklearn import metrics as sk


def task(kind: str, count: int) -> Task:
    return Task("own", kind, tuple(Label(f"label {i}") for i in range(count)), "Own")  # type: ignore[arg-type]


def masks(num_classes: int) -> st.SearchStrategy[Mask]:
    shape = st.just((9, 13))
    return hnp.arrays(np.uint8, shape, elements=st.integers(0, num_classes - 1)).map(Mask)


def itk_hausdorff(one: np.ndarray, other: np.ndarray) -> float:
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(sitk.GetImageFromArray(one.astype(np.uint8)), sitk.GetImageFromArray(other.astype(np.uint8)))
    return float(measure.GetHausdorffDistance())


@given(masks(3), masks(3))
@settings(max_examples=60, deadline=None)
def test_hausdorff_is_simpleitks_on_any_two_masks(pred: Mask, truth: Mask) -> None:
    ours = hausdorff(pred, truth, 3)
    for index in (1, 2):
        p, t = pred.labels == index, truth.labels == index
        if p.any() and t.any():
            assert ours[index - 1] == pytest.approx(itk_hausdorff(p, t), rel=1e-6)


def test_hausdorff_of_real_sized_shapes_is_simpleitks() -> None:
    y, x = np.mgrid[0:300, 0:400]
    pred = ((y - 120) ** 2 / 60**2 + (x - 180) ** 2 / 90**2 < 1).astype(np.uint8)
    truth = ((y - 140) ** 2 / 55**2 + (x - 170) ** 2 / 95**2 < 1).astype(np.uint8)
    truth[290, 5] = 1  # one stray pixel decides the full Hausdorff distance
    ours = hausdorff(Mask(pred), Mask(truth), 2)[0]
    assert ours == pytest.approx(itk_hausdorff(pred, truth), rel=1e-6)
    assert ours > 150


def test_absent_classes_score_as_the_official_rules_say() -> None:
    empty, some = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
    some[3:9, 4:8] = 1
    assert dice(Mask(empty), Mask(empty), 3).tolist() == [1, 1]
    assert hausdorff(Mask(empty), Mask(empty), 3).tolist() == [0, 0]
    assert dice(Mask(empty), Mask(some), 2).tolist() == [0]
    assert hausdorff(Mask(some), Mask(empty), 2).tolist() == [50]


def test_dice_by_hand() -> None:
    pred, truth = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    pred[0, :3], truth[0, 1:4] = 1, 1
    assert dice(Mask(pred), Mask(truth), 2)[0] == pytest.approx(2 * 2 / 6)


def test_stretching_rounds_as_opencv_does() -> None:
    """OpenCV 4 and 5 take pixel 6 here, where 9 · (42 / 54) in floating point would be 7."""
    ramp = np.arange(42, dtype=np.uint8)[None]
    assert stretched(ramp, (1, 54))[0, 9] == 6
    assert stretched(ramp, (1, 42)) is ramp


def test_a_prediction_of_another_size_is_stretched_to_the_truth() -> None:
    truth = np.zeros((40, 60), np.uint8)
    truth[:20, :30] = 1
    assert dice(Mask(truth[::5, ::5]), Mask(truth), 2)[0] == 1


def test_iou_by_hand() -> None:
    assert iou(Box(0, 0, 10, 10), Box(0, 5, 10, 15)) == pytest.approx(50 / 150)
    assert iou(Box(0, 0, 1, 1), Box(5, 5, 6, 6)) == 0
    assert iou(Box(2, 2, 2, 2), Box(2, 2, 2, 2)) == 0


def test_radial_error_leaves_out_hidden_points_and_punishes_missing_ones() -> None:
    truth = Keypoints(np.array([[0, 5], [30, 40], [np.nan, np.nan]]))
    assert radial_error(Keypoints(np.array([[0, 8], [30, 40], [1, 1]])), truth) == pytest.approx(1.5)
    assert radial_error(Keypoints(np.array([[0, 5], [np.nan, 0], [1, 1]])), truth) == pytest.approx(25)
    assert math.isnan(radial_error(Keypoints(np.zeros((1, 2))), Keypoints(np.full((1, 2), np.nan))))


@given(st.integers(2, 5), st.integers(12, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_classification_is_scikit_learns(num_classes: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, n - num_classes)])
    probs = rng.dirichlet(np.ones(num_classes), n).round(1) + 1e-3  # rounding makes ties
    probs /= probs.sum(axis=1, keepdims=True)
    preds = [ClassProbabilities(p) for p in probs]
    truths = [ClassProbabilities.certain(int(t), num_classes) for t in truth]
    ours = score_task(task("classification", num_classes), preds, truths, list(range(n)))
    chosen = np.array([p.index for p in preds])
    expected = {
        "Accuracy": sk.accuracy_score(truth, chosen),
        "F1_macro": sk.f1_score(truth, chosen, average="macro"),
        "F1_weighted": sk.f1_score(truth, chosen, average="weighted"),
        "MCC": sk.matthews_corrcoef(truth, chosen),
        "AUC": sk.roc_auc_score(truth, probs[:, 1])
        if num_classes == 2
        else sk.roc_auc_score(truth, probs, multi_class="ovr", average="macro"),
    }
    for name, value in expected.items():
        assert ours[name].value == pytest.approx(value, abs=1e-9), name
        assert ours[name].low <= ours[name].high
    assert ours["AUC_sound"].value == pytest.approx(ours["AUC"].value)


def test_auc_of_a_missing_class_is_zero_officially_and_sound_beside_it() -> None:
    probs = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]])
    truth = [0, 1, 0, 1]
    with pytest.raises(ValueError, match="Number of classes"):
        sk.roc_auc_score(truth, probs, multi_class="ovr")
    ours = score_task(
        task("classification", 3),
        [ClassProbabilities(p) for p in probs],
        [ClassProbabilities.certain(t, 3) for t in truth],
        list("abcd"),
    )
    assert ours["AUC"].value == 0
    assert ours["AUC_sound"].value == 1
    assert json.loads(json.dumps(ours["AUC"].to_dict()))["low"] is None


def test_classes_are_averaged_after_images() -> None:
    empty, one, two = (np.zeros((6, 6), np.uint8) for _ in range(3))
    one[:3], two[3:] = 1, 2
    truths, preds = [Mask(one), Mask(two)], [Mask(one), Mask(empty)]
    scores = score_task(task("segmentation", 3), iter(preds), iter(truths), ["a", "b"])
    # Class 1: right where it is, absent from both in the second image; class 2 the same in the first, missed there.
    assert scores["DSC"].value == pytest.approx(((1 + 1) / 2 + (1 + 0) / 2) / 2)
    assert scores["HD"].value == pytest.approx((0 + math.hypot(6, 6) / 2) / 2)
    assert scores["DSC"].n == 2


def test_images_without_a_prediction_are_skipped_in_every_type_of_task() -> None:
    boxes = score_task(task("detection", 1), [None, Box(0, 0, 2, 2)], [Box(0, 0, 1, 1), Box(0, 0, 2, 2)], ["a", "b"])
    assert (boxes["IoU"].value, boxes["IoU"].n) == (1, 1)
    full = Mask(np.ones((3, 4), np.uint8))
    masks = score_task(task("segmentation", 2), [None, full], [full, full], ["a", "b"])
    assert (masks["DSC"].value, masks["HD"].value, masks["DSC"].n) == (1, 0, 1)
    truth = Keypoints(np.array([[3.0, 4.0]]))
    points = score_task(task("regression", 1), [None, Keypoints(np.zeros((1, 2)))], [truth, truth], ["a", "b"])
    assert (points["MRE"].value, points["MRE"].n) == (5, 1)
    assert score_task(task("detection", 1), [None], [Box(0, 0, 1, 1)], ["a"]) == {}


def test_hidden_points_do_not_count_against_a_model_that_is_judged() -> None:
    hidden = Keypoints(np.array([[0.0, 5.0], [np.nan, np.nan]]))
    shown = Keypoints(np.array([[0.0, 5.0], [30.0, 40.0]]))
    said = Keypoints(np.array([[0.0, 7.0], [30.0, 40.0]]))
    judged = score_task(task("regression", 2), [said, said], [hidden, shown], ["a", "b"])
    assert judged["MRE"].value == pytest.approx((2 + 1) / 2)
    assert list(judged) == ["MRE"]
    nothing = Keypoints(np.full((2, 2), np.nan))
    assert score_task(task("regression", 2), [said], [nothing], ["a"]) == {}


def test_the_interval_resamples_subjects_not_images() -> None:
    values = [0.0] * 50 + [1.0] * 50
    apart = bootstrap_interval(values, list(range(100)), seed=1)
    together = bootstrap_interval(values, ["a"] * 50 + ["b"] * 50, seed=1)
    assert apart[0] > 0.35
    assert apart[1] < 0.65
    assert together == (0, 1)
    assert bootstrap_interval(values, list(range(100)), seed=1) == apart
    assert all(math.isnan(edge) for edge in bootstrap_interval(values, ["a"] * 100, seed=1))


def test_an_unknown_interval_is_none_in_json() -> None:
    assert Metric(0.5, math.nan, math.nan, 3).to_dict() == {"value": 0.5, "low": None, "high": None, "n": 3}
