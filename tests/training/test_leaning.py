"""A task whose points are read with another task's outline, when that other one learns alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from m2dino.data.letterbox import Letterbox
from m2dino.data.store import Store
from m2dino.network.card import ModelCard, TaskReport, read_card
from m2dino.network.checkpoint import save_checkpoint
from m2dino.network.model import M2Dino
from m2dino.predictor import load_model
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.training.finetune import FinetuneSettings, finetune

from tests.synthetic import SMALL, make_store, picture

HEAD = builtin_tasks()["fetal_head"]
ENDS = tuple(Label(name) for name in ("left", "right", "upper", "lower"))
DIAMETERS = Task("diameters", "regression", ENDS, "Diameters", axes_of="fetal_head")
SETTINGS = FinetuneSettings(steps=8, pictures=8, checks=2)


def checkpoint(path: Path, tasks: tuple[Task, ...]) -> Path:
    torch.manual_seed(0)
    net = M2Dino(SMALL, tasks)
    save_checkpoint(net, ModelCard("", net.architecture, {task.id: TaskReport(task, 10) for task in tasks}), path)
    return path


def test_its_own_answer_stays_bit_by_bit_and_the_result_says_that_its_points_move(tmp_path: Path) -> None:
    base, new = checkpoint(tmp_path / "base.safetensors", (HEAD, DIAMETERS)), tmp_path / "new.safetensors"
    with Store.open(make_store(tmp_path / "store", loops=2, task=HEAD)) as store:
        result = finetune(store, HEAD.id, base, new, settings=SETTINGS, device="cpu")
    (said,) = [caution for caution in result.cautions if DIAMETERS.id in caution]
    assert said in read_card(new).limits
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
