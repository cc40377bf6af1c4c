"""When a carried label takes the place of a model's: docs/decisions/0046-what-a-carried-label-may-replace.md."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m2dino.correct.trust import agreement, carried_bias, expected_agreement, may_replace
from m2dino.values import Box, Keypoints, Mask

SHARE = st.floats(0, 1)


def half(first: int, last: int) -> Mask:
    labels = np.zeros((10, 10), np.uint8)
    labels[first:last] = 1
    return Mask(labels)


def test_agreement_is_the_dice_of_masks_and_of_boxes() -> None:
    assert agreement(half(0, 4), half(0, 4)) == 1
    assert agreement(half(0, 4), half(2, 6)) == pytest.approx(0.5)
    assert agreement(half(0, 0), half(0, 0)) == 1
    assert agreement(half(0, 0), half(0, 4)) == 0
    assert agreement(Box(0, 0, 4, 4), Box(2, 0, 6, 4)) == pytest.approx(0.5)
    assert agreement(Box(0, 0, 4, 4), Box(6, 6, 8, 8)) == 0
    other_class = Mask(2 * half(0, 4).labels)
    assert agreement(half(0, 4), other_class) == 0, "the same place, but another structure"


def test_it_cannot_be_told_for_points_and_for_masks_of_other_frames() -> None:
    points = Keypoints(np.zeros((2, 2)))
    assert agreement(points, points) is None
    assert agreement(half(0, 4), Mask(np.zeros((5, 5), np.uint8))) is None


@given(confidence=SHARE, bias=st.floats(-1, 1))
def test_a_model_that_nobody_had_to_correct_is_never_replaced(confidence: float, bias: float) -> None:
    assert not may_replace(confidence, 1.0, bias)


@given(confidence=SHARE)
def test_a_model_that_is_far_off_is_replaced(confidence: float) -> None:
    assert may_replace(confidence, 0.8)


@given(low=SHARE, high=SHARE, model=SHARE, bias=st.floats(-0.5, 0.5))
def test_surer_carrying_and_a_worse_model_never_speak_against_it(
    low: float, high: float, model: float, bias: float
) -> None:
    low, high = sorted((low, high))
    if may_replace(low, model, bias):
        assert may_replace(high, model, bias)
        assert may_replace(low, model * 0.9, bias)


def test_where_nobody_has_judged_only_what_was_followed_well_replaces() -> None:
    assert may_replace(0.9, None)
    assert not may_replace(0.7, None)


def test_carried_labels_that_had_to_be_corrected_lose_their_credit() -> None:
    assert carried_bias([]) == 0
    poor = carried_bias([(0.9, 0.6)] * 5)
    assert poor < -0.2
    assert may_replace(0.9, 0.97)
    assert not may_replace(0.9, 0.97, poor)
    assert carried_bias([(0.5, expected_agreement(0.5))] * 9) == pytest.approx(0)
