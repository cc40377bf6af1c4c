"""A frame drawn by a person is carried to its neighbours, in the right place, and not past the end of the picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m2dino.cine.loop import CineLoop, Frame
from m2dino.cine.opening import open_loop
from m2dino.correct import propagate
from m2dino.correct.places import Grid
from m2dino.errors import UsageError
from m2dino.scoring.geometry import iou
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).parents[2]
CAROTID = ROOT / "napari_m2dino" / "samples" / "carotid"
TRUTH = ROOT / "tests" / "data" / "carotid_masks"


def noise(seed: int) -> NDArray[np.float64]:
    """Return speckle alone, (260, 330)."""
    speckle = ndimage.gaussian_filter(np.random.default_rng(seed).random((260, 330)), 2.5)
    return np.asarray((speckle - speckle.min()) / np.ptp(speckle) * 200 + 30)


def scene() -> NDArray[np.float64]:
    """Return speckle with a dark ellipse in it, (260, 330)."""
    speckle = noise(0)
    y, x = np.indices(speckle.shape)
    return np.where(inside(y, x), 0.3 * speckle, speckle)


def inside(y: NDArray[np.floating], x: NDArray[np.floating]) -> NDArray[np.bool_]:
    return np.asarray(((y - 125) / 40) ** 2 + ((x - 160) / 60) ** 2 <= 1)


class MovingLoop(CineLoop):
    """A scene that drifts and grows about its middle; the last frames may show another scene."""

    reader, codec, identity = "array", "none", "feed"

    def __init__(self, count: int, drift: tuple[float, float], growth: float, cut: int | None = None) -> None:
        super().__init__()
        self.path, self.height, self.width = Path("moving"), 260, 330
        self.count, self.drift, self.growth, self.cut = count, np.array(drift), growth, cut
        self.most_held = 0

    def __len__(self) -> int:
        return self.count

    def origin(self, frame: int) -> NDArray[np.float64]:
        """Where in the scene each pixel of a frame comes from, (2, H, W)."""
        at = np.indices((self.height, self.width)).astype(float)
        middle = np.array([125.0, 160.0])[:, None, None]
        return middle + (at - middle - frame * self.drift[:, None, None]) / (1 + self.growth * frame)

    def _decode(self, index: int) -> Frame:
        picture = noise(1) if self.cut is not None and index >= self.cut else scene()
        grey = ndimage.map_coordinates(picture, self.origin(index), order=1, mode="reflect")
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)

    def mask(self, frame: int) -> Mask:
        return Mask(inside(*self.origin(frame)).astype(np.uint8))

    def point(self, frame: int, y: float, x: float) -> tuple[float, float]:
        middle = np.array([125.0, 160.0])
        moved = middle + (np.array([y, x]) - middle) * (1 + self.growth * frame) + frame * self.drift
        return float(moved[0]), float(moved[1])


def box_of(mask: Mask) -> Box:
    y, x = ndimage.find_objects(mask.labels.astype(int))[0]
    return Box(y.start, x.start, y.stop, x.stop)


def dice(one: Value, other: Mask) -> float:
    assert isinstance(one, Mask)
    a, b = one.labels > 0, other.labels > 0
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("drift", [(1.5, -2.0), (9.0, 12.0)], ids=["slow", "fast"])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_mask_a_box_and_points_follow_the_tissue(drift: tuple[float, float], backwards: bool) -> None:
    loop = MovingLoop(6, drift, 0.02)
    start, frames = (5, range(4, -1, -1)) if backwards else (0, range(1, 6))
    marks = [(125.0, 160.0), (100.0, 130.0), (150.0, 205.0)]
    masks = list(propagate(loop, start, loop.mask(start), frames))
    boxes = list(propagate(loop, start, box_of(loop.mask(start)), frames))
    points = list(propagate(loop, start, Keypoints(np.array([loop.point(start, *m) for m in marks])), frames))
    assert [carried.frame for carried in masks] == [c.frame for c in boxes] == [c.frame for c in points] == list(frames)
    for mask, box, point in zip(masks, boxes, points, strict=True):
        assert dice(mask.value, loop.mask(mask.frame)) > 0.97
        assert isinstance(box.value, Box)
        assert iou(box.value, box_of(loop.mask(box.frame))) > 0.9
        assert isinstance(point.value, Keypoints)
        truth = np.array([loop.point(point.frame, *m) for m in marks])
        assert np.linalg.norm(point.value.points - truth, axis=1).max() < 4
        assert 0 < mask.confidence <= 1


def test_a_still_picture_keeps_every_class_where_it_is() -> None:
    loop = MovingLoop(3, (0, 0), 0)
    labels = loop.mask(0).labels.copy()
    labels[120:130, 150:170] = 2
    labels[10, 5:300] = 3  # a line of one pixel, far thinner than a pixel of the reduced frame
    for _, value, confidence in propagate(loop, 0, Mask(labels), range(1, 3)):
        assert isinstance(value, Mask)
        assert (value.labels == labels).mean() > 0.999
        assert (value.labels == 3).sum() > 280
        assert confidence == pytest.approx(1, abs=0.02)


def test_it_stops_where_the_picture_changes() -> None:
    loop = MovingLoop(6, (1, 1), 0, cut=3)
    assert [carried.frame for carried in propagate(loop, 0, loop.mask(0), range(1, 6))] == [1, 2]


def test_confidence_falls_with_the_distance() -> None:
    loop = open_loop(CAROTID)
    truth = Mask(np.asarray(Image.open(TRUTH / "000.png")))
    found = [carried.confidence for carried in propagate(loop, 0, truth, range(1, 8))]
    assert found == sorted(found, reverse=True)


def test_a_real_lumen_is_followed_far_better_than_it_is_copied() -> None:
    """A recording whose frames are some hundredths of a second to several tenths apart, the probe moving."""
    loop = open_loop(CAROTID)
    truths = [Mask(np.asarray(Image.open(path))) for path in sorted(TRUTH.glob("*.png"))]
    carried, copied = [], []
    for start in (0, 12, 24):
        for frame, value, _ in propagate(loop, start, truths[start], range(start + 1, start + 5)):
            carried.append(dice(value, truths[frame]))
            copied.append(dice(truths[start], truths[frame]))
    assert len(carried) > 8
    assert np.mean(carried) > 0.87
    assert 1 - np.mean(carried) < 0.3 * (1 - np.mean(copied))


def test_a_point_that_leaves_the_frame_is_no_longer_visible() -> None:
    loop = MovingLoop(5, (-12, 0), 0)
    found = list(propagate(loop, 0, Keypoints(np.array([[20.0, 160.0], [120.0, 160.0]])), range(1, 5)))
    last = found[-1].value
    assert isinstance(last, Keypoints)
    assert found[-1].frame == 4
    assert np.isnan(last.points[0]).all()
    np.testing.assert_allclose(last.points[1], (72, 160), atol=3)


def test_it_is_stopped_and_tells_how_far_it_is() -> None:
    loop = MovingLoop(6, (1, 1), 0)
    told: list[tuple[int, int]] = []
    going = propagate(
        loop,
        0,
        loop.mask(0),
        range(1, 6),
        should_stop=lambda: len(told) > 2,
        on_progress=lambda done, total, text: told.append((done, total)),
    )
    assert [carried.frame for carried in going] == [1, 2]
    assert told == [(0, 5), (1, 5), (2, 5)]


@pytest.mark.parametrize(
    ("value", "frames", "match"),
    [
        (Mask(np.zeros((260, 330), np.uint8)), range(3, 5), "nothing to carry"),
        (Keypoints(np.full((2, 2), np.nan)), range(3, 5), "nothing to carry"),
        (Mask(np.ones((5, 5), np.uint8)), range(3, 5), "frames of the loop"),
        (ClassProbabilities.certain(0, 2), range(3, 5), "copy it"),
        (Box(10, 10, 20, 20), range(4, 5), "beside frame 2"),
        (Box(10, 10, 20, 20), range(3, 9), "no frame 8"),
    ],
)
def test_what_cannot_be_carried_says_so_at_once(value: Value, frames: range, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        propagate(MovingLoop(6, (0, 0), 0), 2, value, frames)


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.tuples(st.integers(8, 192), st.integers(8, 192)),
    st.tuples(st.floats(-10, 2000), st.floats(-10, 2000)),
)
def test_places_in_the_reduced_frame_are_those_of_the_full_one(
    full: tuple[int, int], small: tuple[int, int], at: tuple[float, float]
) -> None:
    grid = Grid(full, small)
    place = np.array(at)
    np.testing.assert_allclose(grid.to_full(grid.to_small(place)), place, rtol=1e-5, atol=1e-3)
    # Corners lie on corners: half a pixel before the first centre in both.
    np.testing.assert_allclose(grid.to_small(np.array([-0.5, -0.5])), -0.5, atol=1e-6)
    np.testing.assert_allclose(grid.to_small(np.array(full) - 0.5), np.array(small) - 0.5, rtol=1e-5)


@pytest.mark.skipif(not os.environ.get("M2DINO_TEST_LOOPS"), reason="M2DINO_TEST_LOOPS names no folder of loops")
@pytest.mark.parametrize("name", ["heart", "vessel"])
def test_simulated_loops_are_followed(name: str) -> None:
    folder = Path(os.environ["M2DINO_TEST_LOOPS"]) / "simulated" / name
    loop = open_loop(folder / "frames")
    truths = [np.asarray(Image.open(path)) for path in sorted((folder / "masks").glob("*.png"))]
    found = list(propagate(loop, 0, Mask(truths[0]), range(1, 9)))
    assert [carried.frame for carried in found] == list(range(1, 9))
    for frame, value, _ in found:
        for label in np.unique(truths[0])[1:]:
            assert isinstance(value, Mask)
            assert dice(Mask(value.labels == label), Mask(truths[frame] == label)) > 0.9
