"""Frames filled in between two that were drawn: the drawn ones as they are, the others in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from m2dino.correct.interpolation import between, interpolate_all, signed_distance
from m2dino.errors import UsageError
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value
from numpy.typing import NDArray

SHAPE = (60, 64)
few = settings(max_examples=30, deadline=None)
shares = st.floats(0, 1)
places = st.floats(-50, 500)


def disc(y: float, x: float, radius: float) -> NDArray[np.bool_]:
    at = np.indices(SHAPE)
    return np.hypot(at[0] - y, at[1] - x) <= radius


def mask(*regions: NDArray[np.bool_]) -> Mask:
    """Paint classes 1, 2 ... one over the other."""
    labels = np.zeros(SHAPE, np.uint8)
    for label, region in enumerate(regions, start=1):
        labels[region] = label
    return Mask(labels)


@few
@given(arrays(np.uint8, (12, 15), elements=st.integers(0, 3)), arrays(np.uint8, (12, 15), elements=st.integers(0, 3)))
def test_the_drawn_frames_stay_and_no_class_is_made_up(first: NDArray[np.uint8], last: NDArray[np.uint8]) -> None:
    one, other = Mask(first), Mask(last)
    assert between(one, other, 0) == one
    assert between(one, other, 1) == other
    middle = between(one, other, 0.5)
    assert isinstance(middle, Mask)
    assert set(np.unique(middle.labels)) <= set(np.unique(first)) | set(np.unique(last)) | {0}


@few
@given(st.floats(4, 14), st.floats(4, 14), shares)
def test_a_disc_grows_evenly(first: float, last: float, share: float) -> None:
    value = between(mask(disc(30, 30, first)), mask(disc(30, 30, last)), share)
    assert isinstance(value, Mask)
    radius = np.sqrt((value.labels == 1).sum() / np.pi)
    assert radius == pytest.approx(first + share * (last - first), abs=0.8)


@few
@given(st.integers(-9, 9).map(lambda k: 2 * k), st.integers(-9, 9).map(lambda k: 2 * k))
def test_a_shape_that_moves_keeps_its_form(down: int, right: int) -> None:
    def shape(y: int, x: int) -> Mask:
        region = disc(y, x, 8)
        region[:y] = False
        return mask(region)

    value = between(shape(30, 32), shape(30 + down, 32 + right), 0.5)
    assert value == shape(30 + down // 2, 32 + right // 2)


def test_a_thin_wall_stays_whole_while_it_shrinks() -> None:
    def ventricle(radius: float) -> Mask:
        labels = np.zeros(SHAPE, np.uint8)
        labels[disc(30, 30, radius + 3)] = 2
        labels[disc(30, 30, radius)] = 1
        labels[50:] = 0  # open below, as a horseshoe is
        return Mask(labels)

    value = between(ventricle(22), ventricle(8), 0.5)
    assert isinstance(value, Mask)
    expected = ventricle(15).labels
    for label in (1, 2):
        common = ((value.labels == label) & (expected == label)).sum()
        assert 2 * common / ((value.labels == label).sum() + (expected == label).sum()) > 0.85


def test_a_class_that_ends_shrinks_to_nothing() -> None:
    full, gone = mask(disc(30, 30, 12)), mask()
    sizes = [int((between(full, gone, share).labels == 1).sum()) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] > 0
    assert sizes[-1] == 0
    assert between(gone, full, 0.75) == between(full, gone, 0.25)


@given(st.tuples(places, places, places, places), st.tuples(places, places, places, places), shares)
def test_boxes_and_points_move_in_straight_lines(
    first: tuple[float, ...], last: tuple[float, ...], share: float
) -> None:
    def box(of: tuple[float, ...]) -> Box:
        return Box(min(of[0], of[2]), min(of[1], of[3]), max(of[0], of[2]), max(of[1], of[3]))

    one, other = box(first), box(last)
    value = between(one, other, share)
    assert isinstance(value, Box)
    expected = [(1 - share) * a + share * b for a, b in zip(one.as_tuple(), other.as_tuple(), strict=True)]
    assert value.as_tuple() == pytest.approx(expected, abs=1e-9)
    points = between(Keypoints(np.reshape(first, (2, 2))), Keypoints(np.reshape(last, (2, 2))), share)
    assert isinstance(points, Keypoints)
    mixed = (1 - share) * np.reshape(first, (2, 2)) + share * np.reshape(last, (2, 2))
    np.testing.assert_allclose(points.points, mixed, atol=1e-9)


def test_a_point_hidden_in_one_is_hidden_between() -> None:
    one = Keypoints(np.array([[1.0, 2.0], [np.nan, np.nan]]))
    other = Keypoints(np.array([[3.0, 4.0], [5.0, 6.0]]))
    value = between(one, other, 0.5)
    assert value == Keypoints(np.array([[2.0, 3.0], [np.nan, np.nan]]))
    assert between(one, other, 1) == other


def test_all_frames_between_keyframes_are_filled_in() -> None:
    keys: dict[int, Value] = {8: Box(8, 0, 9, 1), 2: Box(2, 0, 3, 1), 4: Box(4, 0, 5, 1)}
    assert [(frame, value.as_tuple()[0]) for frame, value in interpolate_all(keys) if isinstance(value, Box)] == [
        (3, pytest.approx(3)),
        (5, pytest.approx(5)),
        (6, pytest.approx(6)),
        (7, pytest.approx(7)),
    ]


@pytest.mark.parametrize(
    "other",
    [Box(0, 0, 1, 1), Mask(np.zeros((3, 3), np.uint8)), ClassProbabilities.certain(0, 2)],
    ids=["another kind", "another size", "a class"],
)
def test_what_cannot_be_joined_says_so(other: Value) -> None:
    with pytest.raises(UsageError, match="both"):
        between(Mask(np.zeros((4, 4), np.uint8)), other, 0.5)


@few
@given(arrays(np.bool_, (9, 11)))
def test_the_distance_is_positive_inside_only(region: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(signed_distance(region) > 0, region)
