"""Things that are ellipses by convention: their masks, and the ends of their axes, and what happens where none fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from m2dino.cine import open_loop
from m2dino.cine.loop import CineLoop
from m2dino.data.letterbox import Letterbox
from m2dino.errors import TaskError
from m2dino.network.heads import RegressionOutput, SegmentationOutput
from m2dino.network.readout import read_output
from m2dino.predictor import Model, load_model, predict
from m2dino.scoring.masks import pixel_dice
from m2dino.tasks import Outline, Task, builtin_tasks, load_tasks
from m2dino.values import Keypoints, Mask
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 540, 800
ROOT = Path(__file__).parents[2]
BOX = Letterbox(HEIGHT, WIDTH, 256)


def ellipse(y: float, x: float, a: float, b: float, theta: float) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] - np.array([y, x])[:, None, None]
    along = columns * np.cos(theta) + rows * np.sin(theta)
    across = rows * np.cos(theta) - columns * np.sin(theta)
    return ((along / a) ** 2 + (across / b) ** 2 <= 1).astype(np.uint8)


def overlap(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return pixel_dice(one > 0, other > 0)


def said(labels: NDArray[np.uint8]) -> SegmentationOutput:
    """Return what a network says that has seen a mask: logits on its grid, a quarter of its square."""
    square = BOX.mask_in(labels).float()[None, None]
    share = torch.nn.functional.avg_pool2d(square, 4)[0, 0]
    return SegmentationOutput(torch.stack([0.5 - share, share - 0.5])[None] * 20)


def read(labels: NDArray[np.uint8], outline: Outline) -> NDArray[np.uint8]:
    value = read_output(said(labels), BOX, outline).value
    assert isinstance(value, Mask)
    return value.labels


def points_read(points: NDArray[np.float64], labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Read four points, found by one task, with what another said of a mask."""
    output = RegressionOutput(torch.tensor(BOX.points_in(points))[None], torch.zeros(1, 4, 64, 64))
    value = read_output(output, BOX, ellipse=said(labels)).value
    assert isinstance(value, Keypoints)
    return value.points


def ends_of(y: float, x: float, a: float, b: float, theta: float) -> NDArray[np.float64]:
    """Left and right end of the longer axis, then upper and lower end of the shorter one, for |theta| < 45 degrees."""
    along, across = np.array([np.sin(theta), np.cos(theta)]), np.array([np.cos(theta), -np.sin(theta)])
    return np.array([y, x]) + np.stack([-a * along, a * along, -b * across, b * across])


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


@settings(max_examples=25)
@given(
    y=st.floats(200, 340),
    x=st.floats(250, 550),
    a=st.floats(90, 180),
    ratio=st.floats(0.6, 0.9),
    theta=st.floats(-0.75, 0.75),
    seed=st.integers(0, 1000),
)
def test_ends_of_axes_are_read_halfway_to_the_ellipse(
    y: float, x: float, a: float, ratio: float, theta: float, seed: int
) -> None:
    truth = ends_of(y, x, a, a * ratio, theta)
    found = truth + np.random.default_rng(seed).normal(0, 12, (4, 2))
    points = points_read(found, ellipse(y, x, a, a * ratio, theta))
    # The mean of what was found and the true ends: each keeps its name. The grid's cells are 3 pixels wide.
    assert np.linalg.norm(points - (found + truth) / 2, axis=1).max() < 4


def test_the_shorter_axis_may_come_first() -> None:
    truth = ends_of(270, 400, 150, 110, 0.3)
    found = truth[[3, 2, 1, 0]] + 5
    points = points_read(found, ellipse(270, 400, 150, 110, 0.3))
    assert np.linalg.norm(points - (found + truth[[3, 2, 1, 0]]) / 2, axis=1).max() < 4


@pytest.mark.parametrize(
    "labels", [ellipse(0, 0, 0.1, 0.1, 0) * 0, ellipse(270, 200, 90, 80, 0) | ellipse(270, 600, 90, 80, 0)]
)
def test_points_stay_where_no_ellipse_is(labels: NDArray[np.uint8]) -> None:
    found = ends_of(270, 400, 150, 110, 0.3)
    assert np.allclose(points_read(found, labels), found, atol=1e-6)


def drawn_head(folder: Path) -> CineLoop:
    """Return a loop of one frame: a bright ring on speckle."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] - np.array([270, 400])[:, None, None]
    radius = np.sqrt((columns / 170) ** 2 + (rows / 130) ** 2)
    speckle = np.random.default_rng(0).gamma(2.0, 0.5, (HEIGHT, WIDTH))
    grey = (40 + 190 * np.exp(-(((radius - 1) / 0.05) ** 2)) - 25 * (radius < 0.95)) * speckle
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(folder / "head.png")
    return open_loop(folder / "head.png")


def test_the_bundled_model_reads_diameters_with_the_heads_outline(tmp_path: Path) -> None:
    model, loop = load_model("tiny", "cpu"), drawn_head(tmp_path)
    task, image = model.task("fetal_head_biometry"), BOX.image_in(loop[0])[None]
    assert task.axes_of == "fetal_head"
    (alone,) = model.outputs(image, task.id)
    (outlined,) = model.outputs(image, "fetal_head")
    assert isinstance(outlined, SegmentationOutput)
    with_it, without = read_output(alone, BOX, ellipse=outlined).value, read_output(alone, BOX).value
    assert isinstance(with_it, Keypoints)
    assert isinstance(without, Keypoints)
    assert not np.allclose(with_it.points, without.points)
    (prediction,) = predict(loop, task, model)
    assert isinstance(prediction.value, Keypoints)
    assert np.allclose(prediction.value.points, with_it.points, atol=1e-3)
    # A checkpoint that never learnt the outline reads the points alone.
    lone = Model(model.net, replace(model.card, tasks={task.id: model.card.tasks[task.id]}), model.device)
    read_alone = lone.predict_frames([loop[0]], task)[0].value
    assert isinstance(read_alone, Keypoints)
    assert np.allclose(read_alone.points, without.points, atol=1e-3)


def test_only_four_points_may_be_ends_of_axes() -> None:
    known = load_tasks([ROOT / "models" / "checkpoints" / "tasks.toml"])
    assert Task.from_dict(known["fetal_head_biometry"].to_dict()).axes_of == "fetal_head"
    for other in ("fetal_head", "IUGC"):
        with pytest.raises(TaskError, match="four points"):
            Task.from_dict({**known[other].to_dict(), "axes_of": "fetal_head"})


def test_the_fetal_head_is_one_and_only_masks_of_one_thing_may_be() -> None:
    known = builtin_tasks()
    assert known["fetal_head"].outline == "ellipse"
    assert Task.from_dict(known["fetal_head"].to_dict()).outline == "ellipse"
    for other, said in (("breast_2cls", "two labels"), ("cardiac_multi", "two labels")):
        with pytest.raises(TaskError, match=said):
            Task.from_dict({**known[other].to_dict(), "outline": "ellipse"})
    with pytest.raises(TaskError, match="circle"):
        Task.from_dict({**known["fetal_head"].to_dict(), "outline": "circle"})
