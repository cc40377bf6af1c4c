"""Augmentation keeps image and label together: what is drawn at the label must still be at it afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from m2dino.data.letterbox import Letterbox
from m2dino.data.samples import Sample, SampleMaker
from m2dino.tasks import Label, Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, TaskType, Value
from numpy.typing import NDArray

SIZE = 256
SQUARE = Letterbox(SIZE, SIZE, SIZE)
TOLERANCE = 1.5


def task(kind: TaskType, *, mirrored: bool) -> Task:
    return Task("t", kind, (Label("a"), Label("b")), "t", horizontal_flip=mirrored)


def disc(y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.indices((SIZE, SIZE))
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def augmented(
    shape: NDArray[np.bool_], value: Value, kind: TaskType, seed: int | None, mirrored: bool = True
) -> Sample:
    frame = np.repeat(shape[..., None].astype(np.uint8) * 255, 3, axis=2)
    maker = SampleMaker({"t": task(kind, mirrored=mirrored)}, SIZE)
    return maker.make(SQUARE.image_in(frame), SQUARE, value, "t", seed)


def middle(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Centre of mass in edge coordinates, px: the centre of pixel 0 is at 0.5."""
    y, x = np.indices(weights.shape) + 0.5
    return np.array([(weights * y).sum(), (weights * x).sum()]) / weights.sum()


def bright(sample: Sample) -> NDArray[np.float64]:
    """Where the drawn blob is now: half of the brightest, so that gain and noise do not count."""
    image = sample.image[0].numpy().astype(float)
    return (image > 0.5 * image.max()).astype(float)


seeds = st.integers(0, 2**62 - 1)
places = st.tuples(st.floats(80, 176), st.floats(80, 176))


@settings(max_examples=40, deadline=None)
@given(seeds, places)
def test_a_mask_stays_on_its_blob(seed: int, place: tuple[float, float]) -> None:
    shape = disc(*place, 20)
    sample = augmented(shape, Mask(shape.astype(np.uint8)), "segmentation", seed)
    target = sample.target.numpy()
    assert set(np.unique(target)) == {0, 1}
    assert np.abs(middle(bright(sample)) - middle(target.astype(float))).max() < TOLERANCE
    both = bright(sample).astype(bool) & (target > 0)
    assert 2 * both.sum() / (bright(sample).sum() + target.sum()) > 0.9


@settings(max_examples=40, deadline=None)
@given(seeds, st.lists(places, min_size=1, max_size=1), st.booleans())
def test_a_point_stays_on_its_blob(seed: int, where: list[tuple[float, float]], mirrored: bool) -> None:
    place = where[0]
    value = Keypoints(np.array([place, (np.nan, np.nan)]))
    sample = augmented(disc(*place, 8), value, "regression", seed, mirrored)
    points = sample.target.numpy() * SIZE
    assume(not np.isnan(points[0]).any())
    assert np.abs(middle(bright(sample)) - points[0]).max() < TOLERANCE
    assert np.isnan(points[1]).all(), "a point that is not visible must not appear"


@settings(max_examples=40, deadline=None)
@given(seeds, places, st.tuples(st.integers(20, 60), st.integers(20, 60)))
def test_a_box_stays_around_its_blob(seed: int, place: tuple[float, float], extent: tuple[int, int]) -> None:
    top, left = int(place[0]) - 30, int(place[1]) - 30
    bottom, right = top + extent[0], left + extent[1]
    shape = np.zeros((SIZE, SIZE), bool)
    shape[top:bottom, left:right] = True
    sample = augmented(shape, Box(top, left, bottom, right), "detection", seed)
    y_min, x_min, y_max, x_max = sample.target.numpy() * SIZE
    rows, columns = np.nonzero(bright(sample))
    found = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
    assert np.abs(found - [y_min, x_min, y_max, x_max]).max() < 2 * TOLERANCE
    assert np.abs(middle(bright(sample)) - [(y_min + y_max) / 2, (x_min + x_max) / 2]).max() < TOLERANCE


@settings(max_examples=30, deadline=None)
@given(seeds, st.tuples(st.floats(0, 255), st.floats(0, 255)))
def test_targets_stay_in_the_picture_or_are_not_visible(seed: int, place: tuple[float, float]) -> None:
    y, x = place
    points = augmented(disc(y, x, 5), Keypoints(np.array([place, (128, 128)])), "regression", seed).target
    seen = points[~points.isnan()]
    assert ((seen >= 0) & (seen <= 1)).all()
    edges = augmented(disc(y, x, 5), Box(y, x, min(y + 9, 256), min(x + 9, 256)), "detection", seed).target
    assert ((edges >= 0) & (edges <= 1)).all()
    assert (edges[:2] <= edges[2:]).all()


@pytest.mark.parametrize("kind", ["segmentation", "classification", "regression"])
def test_no_mirror_where_left_and_right_are_part_of_the_label(kind: TaskType) -> None:
    """Something on the far left stays on the left in every sample, and not in every sample of a task that mirrors."""
    shape = disc(128, 40, 12)
    value = {
        "segmentation": Mask(shape.astype(np.uint8)),
        "classification": ClassProbabilities.certain(1, 2),
        "regression": Keypoints(np.array([[128, 40], [60, 60]])),
    }[kind]
    sides = {
        mirrored: [middle(bright(augmented(shape, value, kind, seed, mirrored)))[1] < 128 for seed in range(24)]
        for mirrored in (False, True)
    }
    assert all(sides[False])
    assert 4 <= sum(sides[True]) <= 20


def test_a_sample_depends_on_its_seed_alone() -> None:
    shape = disc(100, 120, 20)
    value = Mask(shape.astype(np.uint8))
    first = augmented(shape, value, "segmentation", 7)
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    second = augmented(shape, value, "segmentation", 7)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator is left as it was"
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.target, second.target)
    assert not torch.equal(first.image, augmented(shape, value, "segmentation", 8).image)


def test_without_a_seed_nothing_is_changed() -> None:
    shape = disc(100, 120, 20)
    plain = augmented(shape, Keypoints(np.array([[100, 120], [3.25, 200.5]])), "regression", None)
    assert torch.equal(plain.image[0] > 0, torch.from_numpy(shape))
    np.testing.assert_allclose(plain.target.numpy() * SIZE - 0.5, [[100, 120], [3.25, 200.5]], atol=1e-3)
    edges = augmented(shape, Box(10, 20, 100.5, 200), "detection", None).target.numpy() * SIZE
    np.testing.assert_allclose(edges, [10, 20, 100.5, 200], atol=1e-3)
    assert int(augmented(shape, ClassProbabilities.certain(1, 2), "classification", None).target) == 1
