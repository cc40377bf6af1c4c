"""Predicting a loop: values in original pixels, in order, once per frame, and stoppable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from m2dino.cine import open_loop
from m2dino.cine.loop import CineLoop
from m2dino.data.letterbox import Letterbox
from m2dino.errors import (
    DeviceError,
    FrameDecodeError,
    MemoryFullError,
    NotACheckpointError,
    UntrainedTaskError,
    UsageError,
)
from m2dino.network.backbone import Prefix
from m2dino.network.heads import ClassificationOutput, DetectionOutput, RegressionOutput, SegmentationOutput
from m2dino.network.readout import read_output
from m2dino.predictor import Model, PrefixCache, load_model, predict
from m2dino.tasks import builtin_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, type_of

from tests.prediction.conftest import FRAMES
from tests.synthetic import HEIGHT, SIZE, TASKS, WIDTH


@contextmanager
def counting(model: Model) -> Iterator[list[int]]:
    """Note how many frames each call of the first half of the network gets."""
    calls: list[int] = []
    hook = model.net.backbone.vit.patch_embed.register_forward_hook(
        lambda module, inputs, output: calls.append(inputs[0].shape[0])
    )
    try:
        yield calls
    finally:
        hook.remove()


@pytest.mark.parametrize("kind", list(TASKS))
def test_a_loop_is_predicted_in_original_pixels(kind: str, loop: CineLoop, model: Model) -> None:
    found = list(predict(loop, TASKS[kind], model))
    assert [prediction.frame for prediction in found] == list(range(FRAMES))
    for prediction in found:
        assert (prediction.task_id, prediction.model_id) == (TASKS[kind], model.id)
        assert 0 <= prediction.confidence <= 1
        value = prediction.value
        assert type_of(value) == kind
        if isinstance(value, Mask):
            assert value.labels.shape == (HEIGHT, WIDTH)
            assert value.labels.max() <= 1
        elif isinstance(value, Box):
            assert 0 <= value.y_min <= value.y_max <= HEIGHT
            assert 0 <= value.x_min <= value.x_max <= WIDTH
        elif isinstance(value, Keypoints):
            assert value.points.shape == (2, 2)
            assert (value.points >= -0.5).all()
            assert (value.points <= [HEIGHT - 0.5, WIDTH - 0.5]).all()
        else:
            assert isinstance(value, ClassProbabilities)
            assert prediction.confidence == value.probabilities.max()


def test_chosen_frames_come_in_the_order_asked_for_and_batches_change_nothing(loop: CineLoop, model: Model) -> None:
    task = builtin_tasks()[TASKS["regression"]]
    whole = {prediction.frame: prediction for prediction in predict(loop, task, model, batch_size=1)}
    chosen = list(predict(loop, task, model, frames=[7, 0, 3, 3], batch_size=3))
    assert [prediction.frame for prediction in chosen] == [7, 0, 3, 3]
    for prediction in chosen:
        expected = whole[prediction.frame].value
        assert isinstance(expected, Keypoints)
        assert isinstance(prediction.value, Keypoints)
        np.testing.assert_allclose(prediction.value.points, expected.points, atol=0.3)
    assert list(predict(loop, task, model, frames=[])) == []


@pytest.mark.parametrize("frame", [-1, FRAMES, 10_000])
def test_a_frame_outside_the_loop_is_refused_at_once(frame: int, loop: CineLoop, model: Model) -> None:
    with pytest.raises(UsageError, match=f"{FRAMES} frames, 0 to {FRAMES - 1}"):
        predict(loop, TASKS["detection"], model, frames=[0, frame])


def test_an_untrained_task_is_refused_and_the_known_ones_are_named(loop: CineLoop, model: Model) -> None:
    for task in ("organ_cls", builtin_tasks()["organ_cls"]):
        with pytest.raises(UntrainedTaskError) as caught:
            predict(loop, task, model)
        assert model.id in str(caught.value)
        assert all(task_id in str(caught.value) for task_id in TASKS.values())


def test_a_second_task_on_seen_frames_reuses_the_first_half(loop: CineLoop, model: Model, checkpoint: Path) -> None:
    with counting(model) as calls:
        list(predict(loop, TASKS["segmentation"], model, batch_size=4))
        assert sum(calls) == FRAMES
        second = list(predict(loop, TASKS["detection"], model, frames=range(4), batch_size=2))
        assert sum(calls) == FRAMES
        list(predict(loop, TASKS["detection"], model))
        assert sum(calls) == FRAMES
    cold = list(predict(loop, TASKS["detection"], load_model(checkpoint, "cpu"), frames=range(4), batch_size=2))
    for one, other in zip(second, cold, strict=True):
        assert isinstance(one.value, Box)
        assert isinstance(other.value, Box)
        np.testing.assert_allclose(one.value.as_tuple(), other.value.as_tuple(), atol=0.3)


def test_frames_of_another_loop_are_not_taken_for_these(loop: CineLoop, model: Model, folder: Path) -> None:
    list(predict(loop, TASKS["segmentation"], model))
    (folder / "000.png").unlink()
    with counting(model) as calls:
        list(predict(open_loop(folder), TASKS["segmentation"], model))
    assert sum(calls) == FRAMES - 1


def test_the_cache_stays_within_its_bounds(loop: CineLoop, model: Model) -> None:
    prefix = model.net.prefix(torch.zeros(1, 3, SIZE, SIZE))
    size = sum(tensor.nbytes for tensor in (prefix.tokens, *prefix.taps, *prefix.detail))
    cache = PrefixCache(3 * size)
    for key in range(10):
        cache.put(key, prefix)
    assert [key for key in range(10) if cache.get(key) is not None] == [7, 8, 9]
    cache.get(7)
    cache.put(10, prefix)
    assert [key for key in range(11) if cache.get(key) is not None] == [7, 9, 10], "the one looked at longest ago goes"


def test_should_stop_stops(loop: CineLoop, model: Model) -> None:
    found: list[int] = []
    with counting(model) as calls:
        for prediction in predict(
            loop, TASKS["segmentation"], model, batch_size=2, should_stop=lambda: len(found) >= 2
        ):
            found.append(prediction.frame)
    assert found == list(range(len(found)))
    assert 2 <= len(found) <= 6
    assert sum(calls) == len(found), "what was computed is given out"
    assert list(predict(loop, TASKS["segmentation"], model, should_stop=lambda: True)) == []


def test_a_reader_that_walks_away_ends_it(loop: CineLoop, model: Model) -> None:
    stream = predict(loop, TASKS["segmentation"], model, batch_size=1)
    assert next(iter(stream)).frame == 0
    stream.close()  # type: ignore[attr-defined]
    assert len(list(predict(loop, TASKS["segmentation"], model))) == FRAMES


def test_progress_counts_frames(loop: CineLoop, model: Model) -> None:
    seen: list[tuple[int, int]] = []
    list(predict(loop, TASKS["segmentation"], model, on_progress=lambda done, total, text: seen.append((done, total))))
    assert seen == [(4, FRAMES), (8, FRAMES), (9, FRAMES)]


def test_a_damaged_frame_is_an_error_or_is_left_out_and_named(folder: Path, model: Model) -> None:
    victim = folder / "004.png"
    victim.write_bytes(victim.read_bytes()[:200])
    loop = open_loop(folder)
    given: list[int] = []
    with pytest.raises(FrameDecodeError):
        given.extend(prediction.frame for prediction in predict(loop, TASKS["segmentation"], model, batch_size=2))
    bad: list[int] = []
    found = predict(
        loop, TASKS["segmentation"], model, batch_size=2, on_bad_frame=lambda frame, error: bad.append(frame)
    )
    assert [prediction.frame for prediction in found] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert bad == [4]


def hold_at_most(model: Model, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a device that is nearly full: it holds so many frames at a time."""
    prefix = model.net.prefix

    def held(images: torch.Tensor) -> Prefix:
        if len(images) > count:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return prefix(images)

    monkeypatch.setattr(model.net, "prefix", held)


@pytest.mark.parametrize("count", [1, 2])
def test_frames_that_do_not_fit_together_are_predicted_in_parts(
    count: int, loop: CineLoop, model: Model, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, insights = TASKS["regression"], list[int]()
    expected = list(predict(loop, task, load_model(checkpoint, "cpu")))
    hold_at_most(model, count, monkeypatch)
    found = list(predict(loop, task, model, on_insight=lambda insight: insights.append(insight.frame)))
    assert [prediction.frame for prediction in found] == insights == list(range(FRAMES))
    together = [reading.value for reading in model.predict_frames([loop[index] for index in range(FRAMES)], task)]
    for value in ([prediction.value for prediction in found], together):
        for one, other in zip(value, expected, strict=True):
            assert isinstance(one, Keypoints)
            assert isinstance(other.value, Keypoints)
            np.testing.assert_allclose(one.points, other.value.points, atol=0.3)


def test_a_memory_that_does_not_hold_one_frame_is_a_sentence(
    loop: CineLoop, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_at_most(model, 0, monkeypatch)
    with pytest.raises(MemoryFullError, match="not enough memory for even one frame at a time"):
        list(predict(loop, TASKS["segmentation"], model))
    with pytest.raises(MemoryFullError, match="close other programs"):
        model.predict_frames([loop[0], loop[1]], TASKS["segmentation"])


def test_a_model_that_is_none_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(NotACheckpointError, match="no such"):
        load_model(tmp_path / "none.safetensors")
    for device in ("gpu", "cuda:99"):
        with pytest.raises(DeviceError):
            load_model(checkpoint, device)


# What the network says is known here, so what is read from it must be too.
BOX = Letterbox(HEIGHT, WIDTH, SIZE)


def peak(y: float, x: float) -> torch.Tensor:
    """Logits of a heatmap over the square, all at one point."""
    cells = (torch.arange(16) + 0.5) / 16
    return -(((cells[:, None] - y) ** 2 + (cells[None] - x) ** 2) * 1e4)[None, None]


def test_a_mask_is_read_back_to_where_it_was() -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10:40, 20:50], labels[40:55, 60:80] = 1, 2
    square = torch.nn.functional.one_hot(BOX.mask_in(labels).long(), 3).movedim(-1, 0)[None].float()
    sure = read_output(SegmentationOutput(square * 40 - 20), BOX)
    assert isinstance(sure.value, Mask)
    assert (sure.value.labels == labels).mean() > 0.97
    assert sure.confidence > 0.99
    assert 0 < read_output(SegmentationOutput(square * 0.5), BOX).confidence < 0.5
    two = read_output(SegmentationOutput(square[:, :2] * 40 - 20), BOX).value
    assert isinstance(two, Mask)
    assert set(np.unique(two.labels)) == {0, 1}


def test_a_box_is_read_back_to_where_it_was() -> None:
    edges = BOX.edges_in(np.array([[12.0, 20.0], [44.0, 70.0]]))
    (top, left), (bottom, right) = edges
    # An edge is told across itself: where along it the network looks does not matter.
    heat = torch.cat([peak(top, 0.9), peak(0.1, left), peak(bottom, 0.3), peak(0.7, right)], dim=1)
    reading = read_output(DetectionOutput(torch.tensor(edges.reshape(1, 4)).float(), heat), BOX)
    assert isinstance(reading.value, Box)
    np.testing.assert_allclose(reading.value.as_tuple(), (12, 20, 44, 70), atol=1e-3)
    assert reading.confidence > 0.9
    elsewhere = DetectionOutput(torch.tensor(edges.reshape(1, 4)).float(), heat[:, [2, 3, 0, 1]])
    assert read_output(elsewhere, BOX).confidence < 0.1
    outside = read_output(DetectionOutput(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), heat), BOX).value
    assert isinstance(outside, Box)
    np.testing.assert_allclose(outside.as_tuple(), (0, 0, HEIGHT, WIDTH), atol=1e-3)


def test_points_and_classes_are_read_back() -> None:
    where = BOX.points_in(np.array([[30.0, 40.0], [10.5, 80.0]]))
    heat = torch.cat([peak(*where[0]), peak(*where[1])], dim=1)
    reading = read_output(RegressionOutput(torch.tensor(where[None]).float(), heat), BOX)
    assert isinstance(reading.value, Keypoints)
    np.testing.assert_allclose(reading.value.points, [[30, 40], [10.5, 80]], atol=1e-3)
    assert reading.confidence > 0.9
    logits = torch.tensor([[0.0, np.log(3.0)]])
    chosen = read_output(ClassificationOutput(logits), BOX)
    assert isinstance(chosen.value, ClassProbabilities)
    np.testing.assert_allclose(chosen.value.probabilities, [0.25, 0.75], atol=1e-6)
