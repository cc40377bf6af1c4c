"""A loop with regions is learnt from as it is predicted: the same pixels, and labels at the same places in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from m2dino.cine import open_loop
from m2dino.cine.loop import CineLoop
from m2dino.data.cropping import Crop, Region, image_region
from m2dino.data.records import Record
from m2dino.data.samples import CorrectedFrame, LabelledFrames, SampleKey
from m2dino.data.seen import as_seen, crop_of
from m2dino.data.store import Store
from m2dino.predictor import Model, load_model, predict
from m2dino.tasks import builtin_tasks
from m2dino.training.corrections import corrections
from m2dino.training.finetune_common import FinetuneSettings, score_heldout
from m2dino.training.pictures import Pictures
from m2dino.training.speed import Stopwatch
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value
from torch import Tensor

from tests.cine.making import jpeg_loop, moving_square, region
from tests.synthetic import TASKS, make_checkpoint

AREA: Region = (10, 20, 90, 120)
HEIGHT, WIDTH, FRAMES = 100, 140, 8


@pytest.fixture
def loop(tmp_path: Path) -> CineLoop:
    frames = moving_square(FRAMES, HEIGHT, WIDTH)
    frames[:, :8] = 255  # a scanner's interface outside the image
    opened = open_loop(jpeg_loop(tmp_path / "a.dcm", frames, SequenceOfUltrasoundRegions=[region()]))
    assert image_region(opened) == AREA
    return opened


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(make_checkpoint(tmp_path / "untrained.safetensors"), "cpu")


def values(inside: bool) -> dict[str, Value]:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[30:50, 40:80] = 1
    labels[5 if not inside else 30, 40] = 1
    edge = 20.0 if inside else 19.0
    points = np.full((builtin_tasks()[TASKS["regression"]].num_classes, 2), np.nan)
    points[0] = (40.25, edge)
    return {
        "segmentation": Mask(labels),
        "detection": Box(30.0, edge, 60.5, 100.25),
        "regression": Keypoints(points),
        "classification": ClassProbabilities.certain(1, 2),
    }


def shown_to_the_network(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return a list that fills with every batch of pictures that the network gets."""
    batches: list[Tensor] = []
    normalise = model.net.normalise

    def listen(images: Tensor) -> Tensor:
        batches.append(images.detach().cpu().clone())
        return normalise(images)

    monkeypatch.setattr(model.net, "normalise", listen)
    return batches


@pytest.mark.parametrize("form", ["isolated", "shared"])
def test_training_shows_the_network_the_pixels_that_prediction_does(
    form: str, loop: CineLoop, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = builtin_tasks()[TASKS["segmentation"]]
    with Store.open(tmp_path / "store", create=True) as store:
        for index in range(FRAMES):
            value = values(inside=True)["segmentation"]
            store.save(
                Record(loop.identity, index, task.id, "edited", value, region=image_region(loop)), loop[index], task
            )
        data = corrections(store, task.id)
        batches = shown_to_the_network(model, monkeypatch)
        wanted = [record.frame for record in data.train]
        list(predict(loop, task.id, model, frames=wanted, region=image_region(loop), batch_size=1))
        predicted = [picture for batch in batches for picture in batch]
        batches.clear()
        if form == "isolated":
            settings = FinetuneSettings()
            next(Pictures(model, store, data, settings, Stopwatch()).rounds(lambda: False))
            # Each frame comes as it is, then augmented; the first once more before, to see how much room it takes.
            variants = settings.pictures_for(len(data.train)) // len(data.train)
            trained = [picture for batch in batches for picture in batch][1:][::variants]
        else:
            frames = LabelledFrames([CorrectedFrame(store, one) for one in data.train], {task.id: task}, model.size)
            trained = [frames[SampleKey(row, None)].image for row in range(len(frames))]
        assert len(predicted) == len(trained) == len(wanted) > 1
        for before, after in zip(predicted, trained, strict=True):
            assert torch.equal(before, after)
        batches.clear()
        score_heldout(model, store, data)
        held = [picture for batch in batches for picture in batch]
        batches.clear()
        list(predict(loop, task.id, model, frames=[one.frame for one in data.heldout], region=AREA, batch_size=1))
        assert held
        for before, after in zip([picture for batch in batches for picture in batch], held, strict=True):
            assert torch.equal(before, after), "and it is judged on them"


@pytest.mark.parametrize("kind", list(TASKS))
def test_a_label_is_shifted_into_the_pixels_shown_and_maps_back_exactly(kind: str, loop: CineLoop) -> None:
    value = values(inside=True)[kind]
    record = Record(loop.identity, 0, TASKS[kind], "edited", value, region=AREA)
    pixels, seen = as_seen(record, loop[0])
    assert np.array_equal(pixels, loop[0][10:90, 20:120])
    crop = crop_of(record, loop[0])
    assert isinstance(crop, Crop)
    assert crop.value_out(seen) == value
    if isinstance(seen, Mask):
        assert seen.labels.shape == pixels.shape[:2]
        assert np.array_equal(np.argwhere(seen.labels) + np.array([10, 20]), np.argwhere(value.labels))  # type: ignore[union-attr]
    elif kind != "classification":
        assert seen != value


@pytest.mark.parametrize("kind", ["segmentation", "detection", "regression"])
def test_a_label_that_leaves_the_region_is_learnt_in_the_whole_frame(kind: str, loop: CineLoop) -> None:
    value = values(inside=False)[kind]
    pixels, seen = as_seen(Record(loop.identity, 0, TASKS[kind], "edited", value, region=AREA), loop[0])
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert seen == value


@pytest.mark.parametrize("kind", list(TASKS))
def test_the_record_keeps_the_region_and_records_without_one_read_as_ever(
    kind: str, loop: CineLoop, tmp_path: Path
) -> None:
    task = builtin_tasks()[TASKS[kind]]
    value = values(inside=True)[kind]
    if isinstance(value, ClassProbabilities):
        value = ClassProbabilities.certain(1, task.num_classes)
    with Store.open(tmp_path / "store", create=True) as store:
        store.save(Record(loop.identity, 0, task.id, "edited", value, region=AREA), loop[0], task)
        store.save(Record(loop.identity, 1, task.id, "edited", value), loop[1], task)
    with Store.open(tmp_path / "store") as store:
        cut, whole = store.records(task.id)
        assert (cut.region, whole.region) == (AREA, None)
        assert cut.value == whole.value == value
        assert not store.check()


def test_a_region_that_leaves_the_frame_is_not_stored(loop: CineLoop, tmp_path: Path) -> None:
    task = builtin_tasks()[TASKS["detection"]]
    record = Record(loop.identity, 0, task.id, "edited", Box(1, 2, 3, 4), region=(0, 0, HEIGHT + 1, WIDTH))
    with Store.open(tmp_path / "store", create=True) as store, pytest.raises(ValueError, match="does not lie inside"):
        store.save(record, loop[0], task)


@pytest.mark.parametrize("whole_first", [False, True])
def test_a_frame_of_two_tasks_is_shown_to_each_as_its_own_label_asks(
    whole_first: bool, loop: CineLoop, tmp_path: Path
) -> None:
    """The mask leaves the region and is learnt in the whole frame, the box does not: two pictures of one frame."""
    tasks = {TASKS[kind]: builtin_tasks()[TASKS[kind]] for kind in ("segmentation", "detection")}
    mask, box = values(inside=False)["segmentation"], values(inside=True)["detection"]
    with Store.open(tmp_path / "store", create=True) as store:
        for task, value in zip(tasks.values(), (mask, box), strict=True):
            store.save(Record(loop.identity, 0, task.id, "edited", value, region=AREA), loop[0], task)
        records = [store.get(loop.identity, 0, task_id) for task_id in tasks]
        alone = [LabelledFrames([CorrectedFrame(store, one)], tasks, 64)[SampleKey(0, None)] for one in records if one]
        rows = [CorrectedFrame(store, one) for one in records if one]
        together = LabelledFrames(rows, tasks, 64)
        assert len(together.rows_by_image) == 2
        for index in (0, 1) if whole_first else (1, 0):
            sample = together[SampleKey(index, None)]
            assert torch.equal(sample.image, alone[index].image)
            assert torch.equal(sample.target, alone[index].target)
