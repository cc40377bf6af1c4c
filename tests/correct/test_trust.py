"""Which of two proposals is likely nearer: by what a person has made of both kinds so far."""

from __future__ import annotations

import numpy as np
import pytest
from m2dino.correct.trust import agreement, carried_bias, expected_agreement, may_replace
from m2dino.values import Box, Keypoints, Mask


def test_agreement_is_the_overlap_of_what_is_meant() -> None:
    one, two = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    one[:, :4], two[:, 2:6] = 1, 1
    assert agreement(Mask(one), Mask(one)) == 1
    assert agreement(Mask(one), Mask(two)) == pytest.approx(0.5)
    assert agreement(Mask(one), Mask(2 * one)) == 0, "another class is no agreement"
    assert agreement(Mask(0 * one), Mask(0 * one)) == 1
    assert agreement(Box(0, 0, 4, 4), Box(0, 2, 4, 6)) == pytest.approx(0.5)
    assert agreement(Box(0, 0, 4, 4), Box(9, 9, 12, 12)) == 0
    assert agreement(Keypoints(np.zeros((2, 2))), Keypoints(np.zeros((2, 2)))) is None


def test_a_carried_label_replaces_a_model_that_was_corrected_more_than_carrying_loses() -> None:
    assert may_replace(0.4, 0.85)
    assert not may_replace(0.4, 0.97)
    assert may_replace(0.9, 0.97)
    assert not may_replace(1.0, 1.0), "nothing was changed: nothing is better"
    assert may_replace(0.85, None)
    assert not may_replace(0.7, None)


def test_carrying_that_fared_badly_is_trusted_less() -> None:
    assert carried_bias([]) == 0
    expected = expected_agreement(0.9)
    assert carried_bias([(0.9, expected)]) == pytest.approx(0)
    few, many = carried_bias([(0.9, 0.8)]), carried_bias([(0.9, 0.8)] * 20)
    assert many < few < 0
    assert not may_replace(0.9, 0.97, many)
