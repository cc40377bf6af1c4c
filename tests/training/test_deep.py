"""Deep supervision: the decoder's coarser maps are read by the same head, in training only, and learnt from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from m2dino.network.config import Architecture
from m2dino.network.heads import Output
from m2dino.network.model import M2Dino
from m2dino.tasks import Task, builtin_tasks
from m2dino.training.colabelled import DeepForward
from m2dino.training.losses import deep_loss, loss_of
from m2dino.training.settings import LossSettings
from m2dino.values import TaskType

from tests.synthetic import TASKS

SEG, CLS, DET, REG = (builtin_tasks()[TASKS[kind]] for kind in TASKS)
SIZE = 64
TARGETS: dict[TaskType, torch.Tensor] = {
    "segmentation": (torch.arange(SIZE) > SIZE // 2).long().expand(2, SIZE, SIZE).contiguous(),
    "classification": torch.tensor([0, 1]),
    "detection": torch.tensor([[0.2, 0.2, 0.6, 0.7]] * 2),
    "regression": torch.tensor([[[0.2, 0.3], [0.6, 0.7]]] * 2),
}


@pytest.fixture
def net(small: Architecture) -> M2Dino:
    torch.manual_seed(0)
    return M2Dino(small, [SEG, CLS, DET, REG]).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("task", [SEG, CLS, DET, REG], ids=lambda task: task.type)
def test_the_last_is_the_networks_answer_and_those_before_are_coarser(
    net: M2Dino, images: torch.Tensor, task: Task
) -> None:
    outputs = DeepForward(net, coarser=True)(images, [task.id])[task.id]
    for one, other in zip(outputs[-1], net(net.normalise(images), task.id), strict=True):
        assert torch.equal(one, other)
    if task.type == "classification":
        assert len(outputs) == 1
    else:
        maps = [output.logits if task.type == "segmentation" else output.heat for output in outputs]
        assert [each.shape[-1] for each in maps] == [SIZE // 16, SIZE // 8, SIZE // 4]
    assert len(DeepForward(net, coarser=False)(images, [task.id])[task.id]) == 1


@pytest.mark.parametrize("task", [SEG, DET, REG], ids=lambda task: task.type)
def test_coarser_maps_are_learnt_from_only_where_asked(net: M2Dino, images: torch.Tensor, task: Task) -> None:
    target = TARGETS[task.type]

    def outputs_now() -> list[Output]:
        found: list[Output] = DeepForward(net, coarser=True)(images, [task.id])[task.id]
        return found

    def coarse_loss() -> float:
        with torch.no_grad():
            return float(loss_of(outputs_now()[0], target))

    outputs = outputs_now()
    plain = deep_loss(outputs, target, LossSettings())
    assert torch.equal(plain, loss_of(outputs[-1], target))
    deep = deep_loss(outputs, target, replace(LossSettings(), deep=0.5))
    assert deep.item() == pytest.approx(
        plain.item() + 0.25 * sum(loss_of(output, target).item() for output in outputs[:-1])
    )
    before = coarse_loss()
    optimiser = torch.optim.SGD(net.decoder.parameters(), lr=1e-3)
    deep.backward()
    optimiser.step()
    assert coarse_loss() < before
