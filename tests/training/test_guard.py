"""The guard of fine-tuning: what counts as harm, and labels that contradict what a model knew."""

from __future__ import annotations

import math

import numpy as np
import pytest
from m2dino.scoring.image_figures import ImageFigures
from m2dino.scoring.task_scores import TaskScores, summarise
from m2dino.tasks import builtin_tasks
from m2dino.training.guard import Verdict, compare, harmed

TASK = {"DSC": builtin_tasks()["carotid_artery"], "MRE": builtin_tasks()["FUGC"]}
SUBJECTS = 8


def scores(metric: str, figures: np.ndarray, subjects: int = SUBJECTS) -> TaskScores:
    """Scores of images with these figures, divided among subjects."""
    names = (metric,) if metric == "DSC" else ("MRE", "MRE_sound")
    images = [
        ImageFigures(f"s{number % subjects}", True, {name: (float(figure),) for name in names})
        for number, figure in enumerate(figures)
    ]
    return summarise(TASK[metric], images)


def spread(metric: str) -> np.ndarray:
    """Figures of 24 images that differ widely from subject to subject."""
    rng = np.random.default_rng(0)
    wide = np.tile(np.linspace(0.6, 0.95, SUBJECTS), 3) + rng.normal(0, 0.005, 24)
    return wide if metric == "DSC" else 40 * wide


@pytest.mark.parametrize(
    ("metric", "step", "bad", "good"),
    [
        ("DSC", -0.03, True, False),
        ("DSC", 0.03, False, True),
        ("DSC", -0.002, False, False),
        ("MRE", 2.0, True, False),
        ("MRE", -2.0, False, True),
    ],
)
def test_a_small_fall_of_every_image_is_harm_though_the_two_intervals_overlap(
    metric: str, step: float, bad: bool, good: bool
) -> None:
    before = spread(metric)
    jitter = np.random.default_rng(1).normal(0, abs(step) / 10, len(before))
    change = compare(scores(metric, before), scores(metric, before + step + jitter))
    assert change is not None
    assert (change.harmed, change.better) == (bad, good)
    assert change.difference.value == pytest.approx(step, abs=abs(step) / 4)
    assert change.subjects == SUBJECTS
    assert harmed({"one": change}) == (("one",) if bad else ())


def test_changes_that_go_both_ways_are_no_harm() -> None:
    before = spread("DSC")
    change = compare(scores("DSC", before), scores("DSC", before + np.tile([0.04, -0.045], 12)))
    assert change is not None
    assert not change.harmed
    assert not change.better


def test_of_one_subject_any_fall_that_is_more_than_a_trifle_counts() -> None:
    before = spread("DSC")
    change = compare(scores("DSC", before, 1), scores("DSC", before - 0.01, 1))
    assert change is not None
    assert math.isnan(change.difference.low)
    assert change.harmed
    nearly = compare(scores("DSC", before, 1), scores("DSC", before - 0.004, 1))
    assert nearly is not None
    assert not nearly.harmed


def test_the_verdict_says_in_sentences_what_is_wrong() -> None:
    before = spread("DSC")
    change = compare(scores("DSC", before), scores("DSC", before - 0.1))
    assert change is not None
    verdict = Verdict({"a": change, "b": change}, ("a", "b"), ("c",))
    own, other, unmeasured = verdict.warnings("a")
    assert own.startswith("Fine-tuning a made it worse on held-out frames than the model it came from: DSC 0.")
    assert "made other tasks worse: b: DSC" in other
    assert "may have changed c" in unmeasured
    assert verdict.objects
    assert not Verdict({"a": change}).objects
