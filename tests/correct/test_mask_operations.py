"""Cleaning a mask removes what it should and keeps what it should, thin lines above all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from m2dino.correct.mask_operations import (
    classes_of,
    fill_holes,
    largest_component,
    remove_specks,
    smooth,
    unknown_labels,
    without_unknown,
)
from m2dino.tasks import builtin_tasks
from m2dino.values import Mask
from numpy.typing import NDArray
from scipy import ndimage

few = settings(max_examples=40, deadline=None)
small = arrays(np.uint8, (14, 17), elements=st.integers(0, 3))
SHAPE = (80, 100)


def disc(y: float, x: float, radius: float) -> NDArray[np.bool_]:
    at = np.indices(SHAPE)
    return np.hypot(at[0] - y, at[1] - x) <= radius


@few
@given(small, st.integers(0, 20), st.floats(0, 4))
def test_no_operation_makes_up_a_class_or_changes_its_input(
    labels: NDArray[np.uint8], pixels: int, sigma: float
) -> None:
    mask, before = Mask(labels), labels.copy()
    for result in (fill_holes(mask), largest_component(mask), remove_specks(mask, pixels), smooth(mask, sigma)):
        assert result.labels.shape == labels.shape
        assert set(classes_of(result)) <= set(classes_of(mask))
    np.testing.assert_array_equal(mask.labels, before)


@few
@given(small)
def test_what_is_done_twice_is_done(labels: NDArray[np.uint8]) -> None:
    filled = fill_holes(Mask(labels))
    assert (filled.labels[labels > 0] == labels[labels > 0]).all()
    assert fill_holes(filled) == filled
    pieces = largest_component(Mask(labels))
    for label in classes_of(Mask(labels)):
        before = ndimage.label(labels == label, structure=np.ones((3, 3)))[0]
        kept = np.unique(before[(pieces.labels == label) & (labels == label)])
        assert len(kept) == 1


def test_a_hole_is_filled_but_a_cavity_in_a_wall_stays() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[disc(40, 50, 30)] = 2
    labels[disc(40, 50, 20)] = 1
    labels[disc(40, 50, 4)] = 0
    result = fill_holes(Mask(labels)).labels
    assert (result[disc(40, 50, 4)] == 1).all()
    assert (result == 2).sum() == (labels == 2).sum()
    assert fill_holes(Mask(labels), 2).labels[40, 50] == 2


def test_specks_become_what_is_around_them() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[disc(40, 30, 20)] = 1
    labels[39:41, 29:31] = 2
    labels[10:12, 80:82] = 1
    result = remove_specks(Mask(labels), 5).labels
    np.testing.assert_array_equal(result, disc(40, 30, 20).astype(np.uint8))
    assert remove_specks(Mask(labels), 4) == Mask(labels)
    assert not remove_specks(Mask(np.ones((3, 3), np.uint8)), 10).labels.any()


def test_the_largest_piece_of_each_class_is_kept() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    for label, (y, x, radius) in ((1, (20, 20, 10)), (1, (20, 60, 6)), (2, (60, 20, 5)), (2, (60, 60, 9))):
        labels[disc(y, x, radius)] = label
    result = largest_component(Mask(labels)).labels
    assert [int(result[at]) for at in ((20, 20), (20, 60), (60, 20), (60, 60))] == [1, 0, 0, 2]
    assert largest_component(Mask(labels), 1).labels[60, 20] == 2


def rough(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nibble at the outline of a region, as a shaky hand does."""
    rim = ndimage.binary_dilation(region, iterations=2) & ~ndimage.binary_erosion(region, iterations=2)
    return np.where(rim, np.random.default_rng(1).random(region.shape) > 0.5, region)


def test_a_rough_outline_gets_smooth_and_keeps_its_place() -> None:
    region = disc(40, 50, 25)
    drawn = ndimage.binary_fill_holes(rough(region))
    result = smooth(Mask(drawn.astype(np.uint8)), 3).labels > 0
    edges = [int(np.abs(np.diff(one.astype(int), axis=0)).sum()) for one in (drawn, result, region)]
    assert edges[1] < 1.1 * edges[2] < edges[0]
    assert 2 * (result & region).sum() / (result.sum() + region.sum()) > 0.97


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_thin_line_is_not_eaten(width: int) -> None:
    rows, columns = np.indices(SHAPE)
    line = (abs(rows - 40 - 0.2 * (columns - 50)) <= width / 2) & (abs(columns - 50) < 40)
    labels = line.astype(np.uint8)
    labels[disc(15, 80, 10)] = 1  # a large piece of the same class is smoothed more, and takes nothing from it
    result = smooth(Mask(labels), 4).labels > 0
    assert (result & line).sum() > 0.9 * line.sum()
    assert (result & ~line & (rows > 26)).sum() < 0.15 * line.sum() + 4


def test_two_classes_keep_their_common_border() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[20:60, 20:50], labels[20:60, 50:80] = 1, 2
    result = smooth(Mask(labels), 3).labels
    assert (result[30:50, 20:80] > 0).all()
    np.testing.assert_array_equal(result[30:50, 30:70], labels[30:50, 30:70])
    assert smooth(Mask(labels), 0) == Mask(labels)


def test_labels_that_the_task_lacks_are_told_and_cleaned() -> None:
    task = builtin_tasks()["carotid_artery"]
    labels = np.zeros((4, 5), np.uint8)
    labels[0], labels[1, :2], labels[2, 0] = 1, 2, 255
    assert unknown_labels(Mask(labels), task) == {2: 2, 255: 1}
    result = without_unknown(Mask(labels), task)
    assert unknown_labels(result, task) == {}
    assert (result.labels == 1).sum() == 5
