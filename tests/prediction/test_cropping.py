"""Predicting in a part of the frame: what comes back is in pixels of the whole frame, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m2dino.cine import open_loop
from m2dino.cine.calibration import Calibration
from m2dino.cine.loop import CineLoop
from m2dino.cine.regions import Region
from m2dino.data.cropping import Crop, image_region
from m2dino.errors import UsageError
from m2dino.predictor import Model, predict
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask
from PIL import Image

from tests.synthetic import HEIGHT, TASKS, WIDTH


@st.composite
def crops(draw: st.DrawFn) -> Crop:
    height, width = draw(st.integers(16, 90)), draw(st.integers(16, 90))
    y_min, x_min = draw(st.integers(0, height - 16)), draw(st.integers(0, width - 16))
    y_max, x_max = draw(st.integers(y_min + 16, height)), draw(st.integers(x_min + 16, width))
    return Crop(height, width, (y_min, x_min, y_max, x_max))


@given(crops(), st.data())
def test_a_value_seen_in_the_region_is_at_the_same_place_in_the_frame(crop: Crop, data: st.DataObject) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (crop.height, crop.width, 3)).astype(np.uint8)
    seen = crop.frame_in(frame)
    assert seen.shape[:2] == crop.size
    y, x = data.draw(st.integers(0, crop.size[0] - 1)), data.draw(st.integers(0, crop.size[1] - 1))
    labels = np.zeros(crop.size, np.uint8)
    labels[y, x] = 3
    mask = crop.value_out(Mask(labels))
    assert isinstance(mask, Mask)
    assert mask.labels.shape == (crop.height, crop.width)
    ((at_y, at_x),) = np.argwhere(mask.labels)
    assert (frame[at_y, at_x] == seen[y, x]).all()
    assert mask.labels[at_y, at_x] == 3
    points = crop.value_out(Keypoints(np.array([[y, x], [np.nan, np.nan]])))
    assert isinstance(points, Keypoints)
    assert points.points[0].tolist() == [at_y, at_x]
    assert np.isnan(points.points[1]).all(), "a point not visible stays so"
    box = crop.value_out(Box(y, x, y + 1, x + 1))
    assert box == Box(at_y, at_x, at_y + 1, at_x + 1)
    sure = ClassProbabilities.certain(1, 3)
    assert crop.value_out(sure) == sure


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ((0, 0, 51, 60), "50 pixels high and 60 wide"),
        ((-1, 0, 50, 60), "inside"),
        ((30, 0, 20, 60), "inside"),
        ((0, 0, 15, 60), "too small"),
    ],
)
def test_a_region_that_makes_no_sense_is_a_sentence(region: tuple[int, int, int, int], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Crop(50, 60, region)


@pytest.mark.parametrize("kind", list(TASKS))
def test_predicting_in_a_region_is_predicting_its_picture(
    kind: str, loop: CineLoop, model: Model, tmp_path_factory: pytest.TempPathFactory
) -> None:
    region = (6, 10, HEIGHT - 4, WIDTH - 7)
    crop = Crop(HEIGHT, WIDTH, region)
    cut = tmp_path_factory.mktemp("cut") / "frame.png"
    Image.fromarray(crop.frame_in(loop[2])).save(cut)
    (alone,) = predict(open_loop(cut), TASKS[kind], model)
    # The whole frame first: what the network remembers of it must not be taken for the region.
    (whole,) = predict(loop, TASKS[kind], model, frames=[2])
    (inside,) = predict(loop, TASKS[kind], model, frames=[2], region=region)
    expected = crop.value_out(alone.value)
    if isinstance(expected, Mask):
        assert inside.value == expected
    elif isinstance(expected, Box):
        assert isinstance(inside.value, Box)
        assert inside.value.as_tuple() == pytest.approx(expected.as_tuple(), abs=1e-3)
    elif isinstance(expected, Keypoints):
        assert isinstance(inside.value, Keypoints)
        np.testing.assert_allclose(inside.value.points, expected.points, atol=1e-3)
    assert inside.confidence == pytest.approx(alone.confidence, abs=1e-4)
    assert inside.confidence != pytest.approx(whole.confidence, abs=1e-7)


def test_a_region_outside_the_frame_is_refused_at_once(loop: CineLoop, model: Model) -> None:
    with pytest.raises(UsageError, match="does not lie inside the frame"):
        predict(loop, TASKS["detection"], model, region=(0, 0, HEIGHT + 1, WIDTH))


def test_only_an_image_that_the_file_names_is_offered(loop: CineLoop) -> None:
    assert image_region(loop) is None
    scale = Calibration(0.1, 0.1, None, "ultrasound region 1")
    for box, offered in (
        ((4, 4, HEIGHT, WIDTH), True),
        ((0, 0, HEIGHT, WIDTH), False),
        ((4, 4, 12, WIDTH), False),
    ):
        loop.regions = (Region(box, "tissue", scale, ""), Region((0, 0, 20, 20), "spectrum", None, ""))
        assert image_region(loop) == (box if offered else None)
