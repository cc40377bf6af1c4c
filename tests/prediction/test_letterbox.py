"""From a frame of any size to the network's square and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from m2dino.data.letterbox import Letterbox
from numpy.typing import NDArray
from torch.nn import functional as F

boxes = st.builds(
    Letterbox,
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([32, 64, 96, 224, 256, 512]),
)
numbers = st.floats(-5000, 5000)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5)


@given(boxes, pairs)
def test_points_go_there_and_back(box: Letterbox, points: list[tuple[float, float]]) -> None:
    there = np.array(points)
    np.testing.assert_allclose(box.points_out(box.points_in(there)), there, rtol=0, atol=1e-9)


@given(boxes, pairs)
def test_box_edges_go_there_and_back(box: Letterbox, edges: list[tuple[float, float]]) -> None:
    there = np.array(edges)
    np.testing.assert_allclose(box.edges_out(box.edges_in(there)), there, rtol=0, atol=1e-9)


@given(boxes)
def test_the_whole_frame_fills_the_inner_rectangle(box: Letterbox) -> None:
    (top, left), (bottom, right) = box.edges_in(np.array([[0, 0], [box.height, box.width]])) * box.size
    assert (round(top), round(left)) == box.offset
    assert (round(bottom - top), round(right - left)) == box.inner
    assert max(box.inner) == box.size
    # As square as whole pixels allow: a stretched ellipse is another ellipse.
    assert abs((bottom - top) / box.height - (right - left) / box.width) <= 1 / min(box.height, box.width)


def test_a_point_that_is_not_visible_stays_so() -> None:
    box = Letterbox(40, 70, 64)
    placed = box.points_in(np.array([[np.nan, np.nan], [1, 2]]))
    assert np.isnan(placed).tolist() == [[True, True], [False, False]]


def centroid(image: NDArray[np.float64]) -> tuple[float, float]:
    y, x = np.indices(image.shape)
    return float((image * y).sum() / image.sum()), float((image * x).sum() / image.sum())


@pytest.mark.parametrize(("height", "width"), [(64, 64), (200, 300), (709, 749), (480, 90), (31, 57)])
def test_a_square_lands_where_points_and_edges_say(height: int, width: int) -> None:
    box = Letterbox(height, width, 64)
    top, left = height // 3, width // 2
    bottom, right = top + height // 4, left + width // 4
    frame = np.zeros((height, width, 3), np.uint8)
    frame[top:bottom, left:right] = 255
    mask = (frame[..., 0] > 0).astype(np.uint8)

    middle = box.points_in(np.array([(top + bottom - 1) / 2, (left + right - 1) / 2])) * 64 - 0.5
    image = box.image_in(frame)
    assert image.shape == (3, 64, 64)
    assert image.dtype == torch.uint8
    np.testing.assert_allclose(centroid(image[0].numpy().astype(float)), middle, atol=0.1)
    np.testing.assert_allclose(centroid(box.mask_in(mask).numpy().astype(float)), middle, atol=0.5)

    edges = box.edges_in(np.array([[top, left], [bottom, right]])) * 64
    area = float(np.prod(edges[1] - edges[0]))
    assert abs(float(image[0].float().sum()) / 255 - area) < 0.05 * area + 1


def test_a_read_only_frame_is_taken_and_left_alone() -> None:
    frame = np.full((20, 30, 3), 7, np.uint8)
    frame.setflags(write=False)
    assert int(Letterbox(20, 30, 32).image_in(frame).max()) == 7
    assert (frame == 7).all()


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 40), st.floats(-10, 10, width=32))
def test_a_constant_map_stays_constant(height: int, width: int, cells: int, value: float) -> None:
    out = Letterbox(height, width, 64).logits_out(torch.full((2, cells, cells), value))
    assert out.shape == (2, height, width)
    assert torch.equal(out, torch.full_like(out, value))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (200, 300), (480, 90), (1, 50), (37, 1)])
def test_logits_are_read_at_the_centres_of_the_original_pixels(height: int, width: int) -> None:
    """Against torch's own sampler, on a ramp and on noise."""
    box = Letterbox(height, width, 64)
    ramp = torch.arange(16.0).expand(16, 16)
    logits = torch.stack([ramp, ramp.T, torch.randn(16, 16, generator=torch.Generator().manual_seed(0))])
    y, x = np.indices((height, width))
    where = box.points_in(np.stack([y, x], axis=-1))
    grid = torch.from_numpy(where[..., ::-1] * 2 - 1).float()[None]
    expected = F.grid_sample(logits[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    torch.testing.assert_close(box.logits_out(logits), expected, atol=1e-4, rtol=0)


def test_a_mask_goes_to_the_network_and_back() -> None:
    """The way of a label in training, and of a prediction: together they may cost no more than the edge."""
    height, width = 300, 420
    y, x = np.indices((height, width))
    mask = (((y - 150) / 90) ** 2 + ((x - 260) / 110) ** 2 < 1).astype(np.uint8)
    box = Letterbox(height, width, 256)
    square = box.mask_in(mask).float()
    back = (box.logits_out(square[None] - 0.5)[0] > 0).numpy()
    assert 2 * (back & (mask > 0)).sum() / (back.sum() + mask.sum()) > 0.995
