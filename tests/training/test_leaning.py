"""A task whose points are read with another task's outline, when that other one learns alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from m2dino.data.letterbox import Letterbox
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.lineage import objections
from m2dino.network.card import ModelCard, TaskReport, read_card
from m2dino.network.checkpoint import load_checkpoint, save_checkpoint
from m2dino.network.model import M2Dino
from m2dino.predictor import load_model
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.training.comparing import outcome
from m2dino.training.comparison import compare_models
from m2dino.training.comparison_report import read_report
from m2dino.training.corrections import corrections
from m2dino.training.estimate import estimate
from m2dino.training.finetune import FinetuneSettings, finetune
from m2dino.training.finetune_common import headline, score_heldout
from m2dino.values import Keypoints, Mask

from tests.synthetic import SMALL, make_store, picture

HEAD = builtin_tasks()["fetal_head"]
ENDS = tuple(Label(name) for name in ("left", "right", "upper", "lower"))
DIAMETERS = Task("diameters", "regression", ENDS, "Diameters", axes_of="fetal_head")
OTHER = builtin_tasks()["FUGC"]
SETTINGS = FinetuneSettings(steps=8, pictures=8, checks=2)


def checkpoint(path: Path, tasks: tuple[Task, ...]) -> Path:
    torch.manual_seed(0)
    net = M2Dino(SMALL, tasks)
    save_checkpoint(net, ModelCard("", net.architecture, {task.id: TaskReport(task, 10) for task in tasks}), path)
    return path


def diameters(folder: Path, task: Task = DIAMETERS, loops: int = 2) -> Path:
    """Write the ends of the ellipses of `make_store` into a store, as labels of a task of four points."""
    with Store.open(folder, create=True) as store:
        for loop in range(loops):
            for index in range(6):
                frame, labels = picture(100 * loop + index)
                mask = labels["segmentation"]
                assert isinstance(mask, Mask)
                y, x = (axis.astype(float) for axis in np.nonzero(mask.labels))
                middle = (y.min() + y.max()) / 2, (x.min() + x.max()) / 2
                ends = [[middle[0], x.min()], [middle[0], x.max()], [y.min(), middle[1]], [y.max(), middle[1]]]
                store.save(Record(f"{loop:032x}", index, task.id, "edited", Keypoints(np.array(ends))), frame, task)
    return folder


def test_its_own_answer_stays_bit_by_bit_and_the_result_says_that_its_points_move(tmp_path: Path) -> None:
    base, new = checkpoint(tmp_path / "base.safetensors", (HEAD, DIAMETERS, OTHER)), tmp_path / "new.safetensors"
    with Store.open(make_store(tmp_path / "store", loops=2, task=HEAD)) as store:
        before = estimate(store, base, HEAD.id)
        result = finetune(store, HEAD.id, base, new, settings=SETTINGS, device="cpu")
        told = outcome(result, store, HEAD.id, new, base, device="cpu")
    (said,) = [caution for caution in result.cautions if DIAMETERS.id in caution]
    assert said in read_card(new).limits
    assert said in before.cautions
    assert f"no other task can change but {DIAMETERS.id}" in before.of_others
    assert (before.unseen, result.verdict.unmeasured) == ((DIAMETERS.id,), (DIAMETERS.id,))
    assert any(f"could not be measured: {DIAMETERS.id}" in text for text in objections(read_card(new)))
    assert told.unchanged == 1, "the third task alone cannot have changed"
    frame, _ = picture(7)
    image = Letterbox(*frame.shape[:2], SMALL.image_size).image_in(frame)[None]
    (before,), (after,) = (load_model(path, "cpu").outputs(image, DIAMETERS.id) for path in (base, new))
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    (old,), (trained,) = (load_model(path, "cpu").outputs(image, HEAD.id) for path in (base, new))
    assert not torch.equal(old[0], trained[0]), "nothing was learnt, so the test says nothing"


@pytest.mark.parametrize(
    "others", [(HEAD,), (HEAD, replace(DIAMETERS, axes_of="")), (replace(HEAD, outline="free"), DIAMETERS)]
)
def test_nothing_is_said_where_nothing_leans(others: tuple[Task, ...], tmp_path: Path) -> None:
    base = checkpoint(tmp_path / "base.safetensors", others)
    with Store.open(make_store(tmp_path / "store", loops=2, task=others[0])) as store:
        result = finetune(store, HEAD.id, base, tmp_path / "new.safetensors", settings=SETTINGS, device="cpu")
    assert not [caution for caution in result.cautions if DIAMETERS.id in caution]


@pytest.mark.parametrize("known", [True, False])
def test_what_is_read_with_the_outline_is_measured_where_there_are_frames_of_it(known: bool, tmp_path: Path) -> None:
    """Also where the base outlines nothing yet, so that the points were read alone before."""
    tasks = (HEAD, DIAMETERS, OTHER) if known else (DIAMETERS, OTHER)
    base, new = checkpoint(tmp_path / "base.safetensors", tasks), tmp_path / "new.safetensors"
    folder = diameters(make_store(tmp_path / "store", loops=2, task=HEAD))
    with Store.open(folder) as store:
        before = estimate(store, base, HEAD.id)
        result = finetune(store, HEAD.id, base, new, settings=SETTINGS, device="cpu")
        told = outcome(result, store, HEAD.id, new, base, device="cpu")
    assert f"no other task can change but {DIAMETERS.id}," in before.of_others
    assert before.of_others.endswith(" and are measured before and after.")
    assert before.unseen == ()
    assert set(result.verdict.changes) == ({HEAD.id, DIAMETERS.id} if known else {DIAMETERS.id})
    assert DIAMETERS.id not in result.verdict.unmeasured
    assert [row.task for row in told.rows] == [HEAD.id, DIAMETERS.id]
    assert told.unchanged == 1
    assert [caution for caution in result.cautions if DIAMETERS.id in caution]


def test_labels_that_are_only_numbered_take_nothing_away_from_what_the_base_knows(tmp_path: Path) -> None:
    """Imported without a task file, the points are "point 1" to "point 4", and nothing tells of the ellipse."""
    untrained, base = checkpoint(tmp_path / "untrained.safetensors", (HEAD, DIAMETERS)), tmp_path / "base.safetensors"
    learning = FinetuneSettings(steps=40, pictures=24, checks=2)
    with Store.open(make_store(tmp_path / "heads", loops=2, task=HEAD)) as store:
        finetune(store, HEAD.id, untrained, base, settings=learning, device="cpu")
    numbered = Task.from_dict(
        {
            "id": DIAMETERS.id,
            "type": "regression",
            "labels": [f"point {i}" for i in (1, 2, 3, 4)],
            "horizontal_flip": False,
        }
    )
    own = replace(DIAMETERS, axes_of="", title="Mine, read without the outline")
    for task, kept in ((numbered, DIAMETERS), (own, own)):
        new = tmp_path / "new.safetensors"
        with Store.open(diameters(tmp_path / kept.title, task)) as store:
            result = finetune(store, task.id, base, new, settings=SETTINGS, device="cpu")
            data, model = corrections(store, task.id), load_model(base, "cpu")
            as_it_answers = score_heldout(model, store, data)
            poorer = replace(model.card.tasks[task.id], task=own)
            model.card = replace(model.card, tasks={**model.card.tasks, task.id: poorer})
            without = score_heldout(model, store, data)
        assert headline(as_it_answers).value != headline(without).value, "or this shows nothing"
        change = result.verdict.changes[task.id]
        assert change.before == pytest.approx(headline(as_it_answers).value)
        assert read_card(new).tasks[task.id].task == kept
        assert result.snapshot.task == kept


def test_the_use_of_the_experts_is_told_of_the_points_and_not_of_the_outline_beside_them(tmp_path: Path) -> None:
    """The network answers two tasks for each frame then, of which the other has no expert of its own."""
    base, new = checkpoint(tmp_path / "base.safetensors", (HEAD, DIAMETERS, OTHER)), tmp_path / "new.safetensors"
    # The same weights, but nothing is read together.
    plain = checkpoint(tmp_path / "plain.safetensors", (replace(HEAD, outline="free"), DIAMETERS, OTHER))
    report = tmp_path / "report"
    with Store.open(diameters(tmp_path / "store")) as store:
        result = finetune(store, DIAMETERS.id, base, new, settings=SETTINGS, device="cpu")
        told = outcome(result, store, DIAMETERS.id, new, base, report=report, device="cpu")
        alone = compare_models(store, DIAMETERS.id, plain, new, device="cpu")
    assert told.report == report
    read, net = read_report(report), load_checkpoint(new)[0]
    assert len(read.experts_after.own) == len(read.experts_after.gates) == len(net.backbone.mixtures)
    assert alone is not None
    assert alone.usage_before is not None
    assert [list(row) for row in read.experts_before.gates] == alone.usage_before.gates
