"""Masks of things that are ellipses by convention: what is read is the ellipse, and nothing where none fits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from m2dino.data.letterbox import Letterbox
from m2dino.errors import TaskError
from m2dino.network.heads import SegmentationOutput
from m2dino.network.readout import read_output
from m2dino.scoring.masks import pixel_dice
from m2dino.tasks import Outline, Task, builtin_tasks
from m2dino.values import Mask
from numpy.typing import NDArray

HEIGHT, WIDTH = 540, 800
BOX = Letterbox(HEIGHT, WIDTH, 256)


def ellipse(y: float, x: float, a: float, b: float, theta: float) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] - np.array([y, x])[:, None, None]
    along = columns * np.cos(theta) + rows * np.sin(theta)
    across = rows * np.cos(theta) - columns * np.sin(theta)
    return ((along / a) ** 2 + (across / b) ** 2 <= 1).astype(np.uint8)


def overlap(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return pixel_dice(one > 0, other > 0)


def read(labels: NDArray[np.uint8], outline: Outline) -> NDArray[np.uint8]:
    """Read a mask back from logits on the network's grid, a quarter of its square."""
    square = BOX.mask_in(labels).float()[None, None]
    share = torch.nn.functional.avg_pool2d(square, 4)[0, 0]
    value = read_output(SegmentationOutput(torch.stack([0.5 - share, share - 0.5])[None] * 20), BOX, outline).value
    assert isinstance(value, Mask)
    return value.labels


@settings(max_examples=25)
@given(
    y=st.floats(200, 340),
    x=st.floats(250, 550),
    a=st.floats(90, 180),
    ratio=st.floats(0.6, 0.95),
    theta=st.floats(-1.6, 1.6),
)
def test_an_ellipse_is_read_back_to_where_it_was(y: float, x: float, a: float, ratio: float, theta: float) -> None:
    truth = ellipse(y, x, a, a * ratio, theta)
    assert overlap(read(truth, "ellipse"), truth) > 0.985


def test_a_dent_and_a_speck_do_not_move_it() -> None:
    truth = ellipse(270, 400, 150, 110, 0.4)
    seen = truth.copy()
    seen[150:230, 500:560] = 0
    seen[20:50, 30:80] = 1
    assert overlap(read(seen, "ellipse"), truth) > overlap(read(seen, "free"), truth) + 0.01


@pytest.mark.parametrize("name", ["nothing", "two", "cross"])
def test_what_is_no_ellipse_stays_as_the_network_drew_it(name: str) -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    if name == "two":
        labels = ellipse(270, 200, 90, 80, 0) | ellipse(270, 600, 90, 80, 0)
    if name == "cross":
        labels[250:290, 200:600] = labels[100:440, 380:420] = 1
    assert np.array_equal(read(labels, "ellipse"), read(labels, "free"))


def test_the_fetal_head_is_one_and_only_masks_of_one_thing_may_be() -> None:
    known = builtin_tasks()
    assert known["fetal_head"].outline == "ellipse"
    assert Task.from_dict(known["fetal_head"].to_dict()).outline == "ellipse"
    for other, said in (("breast_2cls", "two labels"), ("cardiac_multi", "two labels")):
        with pytest.raises(TaskError, match=said):
            Task.from_dict({**known[other].to_dict(), "outline": "ellipse"})
    with pytest.raises(TaskError, match="circle"):
        Task.from_dict({**known["fetal_head"].to_dict(), "outline": "circle"})
