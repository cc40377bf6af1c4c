"""Values to layer data and back: nothing is lost on the way, in whatever order and however odd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from m2dino.errors import UsageError
from m2dino.tasks import Label, Task, load_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask

from napari_m2dino.layers import (
    box_from_rectangle,
    free_name,
    is_blank,
    keypoints_from_points,
    labels_from_mask,
    mask_from_labels,
    points_from_keypoints,
    rectangle_from_box,
    same_value,
)
from napari_m2dino.packed import pack, unpack

HEIGHT, WIDTH = 240, 320
MASK_TASK = load_tasks()["cardiac_multi"]
POINT_TASK = Task("four", "regression", tuple(Label(name) for name in "abcd"), "Four points")
edges = st.floats(0, 1, width=32)
places = st.one_of(st.none(), st.tuples(st.floats(-5, HEIGHT + 5), st.floats(-5, WIDTH + 5)))


@given(arrays(np.uint8, (7, 9), elements=st.integers(0, 3)))
def test_a_mask_survives_the_labels_layer_and_packing(labels: np.ndarray) -> None:
    mask = mask_from_labels(labels, MASK_TASK)
    assert np.array_equal(labels_from_mask(mask), labels)
    assert unpack(pack(mask)) == mask
    assert is_blank(mask) == (not labels.any())


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(UsageError, match=r"Label 9 .* labels 1 to 3"):
        mask_from_labels(np.full((3, 3), 9), MASK_TASK)


@given(st.integers(0, 500), edges, edges, edges, edges)
def test_a_box_survives_the_shapes_layer(frame: int, a: float, b: float, c: float, d: float) -> None:
    (y0, y1), (x0, x1) = sorted((a * HEIGHT, b * HEIGHT)), sorted((c * WIDTH, d * WIDTH))
    box = Box(y0, x0, y1, x1)
    corners = rectangle_from_box(frame, box).astype(np.float32)  # napari keeps shapes in single precision
    assert corners.shape == (4, 3)
    back_frame, back = box_from_rectangle(corners, HEIGHT, WIDTH)
    assert back_frame == frame
    assert same_value(back, box)


def test_the_box_of_one_pixel_surrounds_that_pixel() -> None:
    corners = rectangle_from_box(3, Box(10, 20, 11, 21))
    assert corners[:, 1].min() == 9.5
    assert corners[:, 1].max() == 10.5
    assert corners[:, 2].min() == 19.5
    assert corners[:, 2].max() == 20.5


def test_a_box_drawn_beyond_the_image_is_cut_at_its_border() -> None:
    corners = [[0, -50, -50], [0, -50, 900], [0, 900, 900], [0, 900, -50]]
    assert box_from_rectangle(corners, HEIGHT, WIDTH)[1] == Box(0, 0, HEIGHT, WIDTH)


@given(st.dictionaries(st.integers(0, 30), st.lists(places, min_size=4, max_size=4), max_size=5), st.randoms())
def test_keypoints_survive_the_points_layer_in_any_order(frames: dict, random: object) -> None:
    values = {
        frame: Keypoints(np.array([(np.nan, np.nan) if place is None else place for place in four]))
        for frame, four in frames.items()
    }
    data, names = points_from_keypoints(values, POINT_TASK)
    order = list(range(len(names)))
    random.shuffle(order)  # type: ignore[attr-defined]
    data, names = data[order], [names[i] for i in order]
    for frame, value in values.items():
        assert same_value(keypoints_from_points(data, names, frame, POINT_TASK), value)


def test_two_points_of_one_name_are_refused() -> None:
    data = [[5, 1, 1], [5, 2, 2], [6, 3, 3]]
    with pytest.raises(UsageError, match=r"Two points .* named b"):
        keypoints_from_points(data, ["b", "b", "b"], 5, POINT_TASK)
    assert keypoints_from_points(data, ["b", "b", "b"], 6, POINT_TASK).points[1].tolist() == [3, 3]


def test_the_next_point_is_the_first_not_yet_placed() -> None:
    assert free_name([], POINT_TASK) == "a"
    assert free_name(["a", "c"], POINT_TASK) == "b"
    assert free_name("abcd", POINT_TASK) is None


def test_values_differ_when_a_person_would_see_it() -> None:
    assert not same_value(Box(0, 0, 10, 10), Box(0, 0, 10, 10.5))
    assert same_value(Box(0, 0, 10, 10), Box(0, 0, 10, 10.0001))
    one, other = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    other[2, 2] = 1
    assert not same_value(Mask(one), Mask(other))
    assert not same_value(ClassProbabilities(np.array([0.6, 0.4])), ClassProbabilities.certain(0, 2))
    assert not same_value(None, Mask(one))
