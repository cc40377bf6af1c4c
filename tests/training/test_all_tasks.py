"""Fine-tuning one task alone changes none of the 26 others, whichever it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.network.checkpoint import load_checkpoint
from m2dino.network.heads import Output
from m2dino.network.model import M2Dino
from m2dino.tasks import Task, builtin_tasks
from m2dino.training.finetune import FinetuneSettings, finetune
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

from tests.synthetic import HEIGHT, SIZE, WIDTH, make_checkpoint
from tests.tasks_reference import REFERENCE

IDS = tuple(task_id for task_id, *_ in REFERENCE)
LEARNT = FinetuneSettings(steps=5, pictures=8, checks=1, lr=1e-2)
"""Four steps of head and decoder, one of everything."""
OWNERS = ("carotid_artery", "breast_2cls")
"""Fine-tuned before, one after the other: they own experts, and one a decoder, which must not change either."""


def label(task: Task, index: int) -> Value:
    """Return a label for any task."""
    if task.type == "segmentation":
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k in range(1, task.num_classes):
            labels[10 * k : 10 * k + 8, 10 + index : 50 + index] = k
        return Mask(labels)
    if task.type == "classification":
        return ClassProbabilities.certain(index % task.num_classes, task.num_classes)
    if task.type == "detection":
        return Box(10, 10 + index, 40, 50 + index)
    return Keypoints(np.linspace((5.0, 5.0 + index), (50.0, 70.0 + index), task.num_classes))


def learn(base: Path, task: Task, folder: Path) -> Path:
    """Fine-tune a task alone on five frames."""
    rng = np.random.default_rng(0)
    out = folder / f"{task.id}.safetensors"
    with Store.open(folder / f"store {task.id}", create=True) as store:
        for index in range(5):
            frame = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            store.save(Record("ab" * 16, index, task.id, "edited", label(task, index)), frame, task)
        finetune(store, task.id, base, out, settings=LEARNT, device="cpu")
    return out


@torch.inference_mode()
def answers(path: Path) -> dict[str, Output]:
    net: M2Dino = load_checkpoint(path)[0]
    images = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return {task_id: net(images, task_id) for task_id in IDS}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    path = make_checkpoint(folder / "base.safetensors", IDS)
    for task_id in OWNERS:
        path = learn(path, builtin_tasks()[task_id], folder)
    return path


@pytest.fixture(scope="module")
def before(base: Path) -> dict[str, Output]:
    return answers(base)


def test_there_are_27_and_some_own_what_they_answer_with(base: Path) -> None:
    net = load_checkpoint(base)[0]
    assert len(IDS) == len(net.tasks) == 27
    assert [task_id for task_id in IDS if net.has_private_experts(task_id)] == sorted(OWNERS, key=IDS.index)
    assert [task_id for task_id in IDS if net.has_own_decoder(task_id)] == ["carotid_artery"]


@pytest.mark.parametrize("task_id", IDS)
def test_the_26_others_answer_bit_for_bit_as_before(
    task_id: str, base: Path, before: dict[str, Output], tmp_path: Path
) -> None:
    after = answers(learn(base, builtin_tasks()[task_id], tmp_path))
    different = {
        name
        for name, output in before.items()
        if not all(torch.equal(one, other) for one, other in zip(output, after[name], strict=True))
    }
    assert different == {task_id}
