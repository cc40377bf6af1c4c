"""The whole network: what comes out for each task, and that it learns."""

from __future__ import annotations

import pytest
import torch
from m2dino.errors import UntrainedTaskError, UsageError
from m2dino.network.config import Architecture, preset
from m2dino.network.heads import Output
from m2dino.network.model import M2Dino
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.training.losses import loss_of
from torch import Tensor

from tests.tasks_reference import ONE_OF_EACH, REFERENCE


def shapes(kind: str, count: int, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """The shapes that the heads promise, for one image."""
    fine = (height // 4, width // 4)
    return {
        "segmentation": ((1, count, *fine),),
        "classification": ((1, count),),
        "detection": ((1, 4), (1, 4, *fine)),
        "regression": ((1, count, 2), (1, count, *fine)),
    }[kind]


@pytest.mark.parametrize(("height", "width"), [(256, 256), (80, 208)])
def test_every_task_answers_in_its_own_shape(all_tasks: M2Dino, height: int, width: int) -> None:
    """All 27, through one shared prefix; also on a picture that is not square."""
    image = torch.randn(1, 3, height, width)
    with torch.inference_mode():
        prefix = all_tasks.prefix(image)
        for task_id, kind, count, _ in REFERENCE:
            output: Output = all_tasks.from_prefix(prefix, (height // 16, width // 16), task_id)
            assert tuple(tuple(part.shape) for part in output) == shapes(kind, count, height, width), task_id
            assert all(part.isfinite().all() for part in output)
            if kind in ("detection", "regression"):
                assert output[0].min() >= 0
                assert output[0].max() <= 1


def test_a_box_may_be_told_by_its_centre_as_in_older_checkpoints(architecture: Architecture, images: Tensor) -> None:
    task = builtin_tasks()[ONE_OF_EACH["detection"]]
    older = {key: value for key, value in architecture.to_dict().items() if key != "boxes"}
    net = M2Dino(Architecture.from_dict(older), [task])
    output = net(images, task.id)
    assert tuple(output.heat.shape[:2]) == (2, 1)
    target = torch.tensor([[0.1, 0.2, 0.5, 0.6]]).repeat(2, 1)
    loss_of(output, target).backward()
    with pytest.raises(UsageError, match="edges"):
        architecture.with_options(boxes="corners")


def test_a_cached_prefix_gives_the_same_answer(all_tasks: M2Dino, images: Tensor) -> None:
    with torch.inference_mode():
        prefix = all_tasks.prefix(images)
        for task_id in ONE_OF_EACH.values():
            whole, halves = all_tasks(images, task_id), all_tasks.from_prefix(prefix, (4, 4), task_id)
            assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))


def test_a_task_that_it_does_not_have_is_refused(architecture: Architecture, images: Tensor) -> None:
    net = M2Dino(architecture, [builtin_tasks()["lung"]])
    with pytest.raises(UntrainedTaskError, match="cervix"):
        net(images, "cervix")


@pytest.mark.parametrize("task_id", ["type", "train", "parameters", "forward", "a-b_c"])
def test_any_id_will_do_for_a_task(task_id: str, architecture: Architecture, images: Tensor) -> None:
    """Even one that a module of torch could not hold as a name."""
    net = M2Dino(architecture, [Task(task_id, "classification", (Label("a"), Label("b")), task_id)])
    net.add_private_experts(task_id)
    assert net.eval()(images, task_id).logits.shape == (2, 2)


@pytest.mark.parametrize("top_k", [0, 2])
@pytest.mark.parametrize("kind", list(ONE_OF_EACH))
def test_a_few_steps_lower_the_loss_of_each_type(kind: str, top_k: int, architecture: Architecture) -> None:
    task = builtin_tasks()[ONE_OF_EACH[kind]]
    torch.manual_seed(0)
    net = M2Dino(architecture.with_options(top_k=top_k), [task]).eval()
    images = torch.randn(4, 3, 64, 64)
    mask = torch.zeros(4, 64, 64, dtype=torch.int64)
    mask[:, 10:40, 20:50], mask[:, 40:55, 20:30] = 1, 2
    target = {
        "segmentation": mask,
        "classification": torch.tensor([0, 1, 2, 1]),
        "detection": torch.tensor([[0.1, 0.2, 0.5, 0.6]]).repeat(4, 1),
        "regression": torch.tensor([[[0.2, 0.3], [0.7, 0.4], [torch.nan, torch.nan]]]).repeat(4, 1, 1),
    }[kind]
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        loss = loss_of(net(images, task.id), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(torch.tensor(losses).isfinite())
    assert losses[-1] < 0.9 * losses[0], losses
    trained = {name for name, parameter in net.named_parameters() if parameter.grad is not None}
    idle = {name.split(".")[0] for name, _ in net.named_parameters()} - {name.split(".")[0] for name in trained}
    # Classification asks for no decoder; nothing else may lie idle.
    assert idle == ({"decoder"} if kind == "classification" else set())


def test_a_point_that_is_not_visible_pulls_nothing(architecture: Architecture, images: Tensor) -> None:
    net = M2Dino(architecture, [builtin_tasks()["FUGC"]]).eval()
    output = net(images, "FUGC")
    unseen = torch.full((2, 2, 2), torch.nan)
    assert loss_of(output, unseen).item() == 0
    half = torch.tensor([[0.5, 0.5], [torch.nan, 0.2]]).repeat(2, 1, 1)
    output.points.retain_grad()
    loss_of(output, half).backward()
    assert output.points.grad is not None
    assert output.points.grad[:, 0].abs().min() > 0
    assert output.points.grad[:, 1].abs().max() == 0


def test_two_networks_of_one_seed_are_equal_and_of_another_differ(architecture: Architecture) -> None:
    def drawn(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return M2Dino(architecture, builtin_tasks()).state_dict()

    one, same, other = drawn(5), drawn(5), drawn(6)
    assert all(torch.equal(value, same[key]) for key, value in one.items())
    assert any(not torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_presets_build(name: str) -> None:
    with torch.device("meta"):
        net = M2Dino(preset(name), [builtin_tasks()["lung"]])
    assert len(net.backbone.mixtures) == 6
    assert net.backbone.tap_indices == (2, 5, 8, 11)


def test_a_shape_that_is_none_is_refused() -> None:
    for wrong in ({"top_k": 5}, {"num_experts": 0}, {"image_size": 100}, {"image_size": 16}):
        with pytest.raises(UsageError):
            preset("tiny").with_options(**wrong)
    with pytest.raises(UsageError, match="huge"):
        preset("huge")
