"""The mixture of experts: gates, top-k, and experts that one task alone sees."""

from __future__ import annotations

import copy

import pytest
import torch
from m2dino.network.config import Architecture
from m2dino.network.heads import Output
from m2dino.network.model import M2Dino
from m2dino.network.moe import MoEMlp
from m2dino.tasks import builtin_tasks
from m2dino.training.losses import loss_of
from timm.layers.mlp import Mlp
from torch import Tensor

from tests.tasks_reference import ONE_OF_EACH

DIM, TASK = 24, 8


def mixture(experts: int, top_k: int) -> MoEMlp:
    """A mixture of different experts whose gates are far from even."""
    torch.manual_seed(experts)
    moe = MoEMlp(Mlp(DIM, 4 * DIM), experts, TASK, top_k)
    moe.reset_experts()
    with torch.no_grad():
        moe.fc1.weight.mul_(20)
        moe.fc2_weight.mul_(20)
        moe.fc2_bias.normal_()
        moe.gate_token.weight.normal_()
        moe.gate_task.weight.normal_()
    return moe


@pytest.mark.parametrize("experts", [1, 2, 4, 7])
def test_gates_sum_to_one_and_listen_to_token_and_task(experts: int) -> None:
    moe = mixture(experts, 0)
    tokens, task = torch.randn(2, 9, DIM), torch.randn(TASK)
    gates = moe.gates(tokens, task)
    assert gates.shape == (2, 9, experts)
    assert (gates >= 0).all()
    torch.testing.assert_close(gates.sum(dim=-1), torch.ones(2, 9))
    if experts > 1:
        assert (gates[:, 0] - gates[:, 1]).abs().max() > 0.01
        assert (gates - moe.gates(tokens, -task)).abs().max() > 0.01


def test_the_soft_mixture_is_the_gated_sum_of_the_experts() -> None:
    moe = mixture(4, 0)
    tokens, task = torch.randn(2, 5, DIM), torch.randn(TASK)
    gates, expected = moe.gates(tokens, task), torch.zeros(2, 5, DIM)
    for e in range(4):
        w1, b1 = moe.fc1.weight.split(moe.hidden)[e], moe.fc1.bias.split(moe.hidden)[e]
        hidden = moe.act(tokens @ w1.T + b1)
        out = hidden @ moe.fc2_weight.split(moe.hidden, dim=1)[e].T + moe.fc2_bias[:, e]
        expected = expected + gates[..., e : e + 1] * out
    torch.testing.assert_close(moe(tokens, task), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_top_k_uses_the_strongest_experts_and_renormalises(top_k: int) -> None:
    moe, soft = mixture(4, top_k), mixture(4, 0)
    soft.load_state_dict(moe.state_dict())
    tokens, task = torch.randn(3, 5, DIM), torch.randn(TASK)
    gates = moe.gates(tokens, task)
    weak = gates < gates.topk(top_k, dim=-1).values[..., -1:]
    kept = gates.masked_fill(weak, 0)
    kept = kept / kept.sum(dim=-1, keepdim=True)
    soft.gates = lambda x, t: kept  # type: ignore[method-assign]
    torch.testing.assert_close(moe(tokens, task), soft(tokens, task), atol=1e-4, rtol=1e-4)


def test_few_shapes_of_products_occur_whatever_the_images() -> None:
    """Each new shape would be compiled anew on a CPU: see `rounding`."""
    torch.manual_seed(0)
    moe, shapes = mixture(4, 2), set()
    moe.act.register_forward_pre_hook(lambda _, given: shapes.add(given[0].shape[0]))
    torch.nn.init.normal_(moe.gate_token.weight)
    for _ in range(30):
        moe(torch.randn(2, 300, DIM) + torch.randn(DIM), torch.randn(TASK))
    assert all(rows % 32 == 0 for rows in shapes)
    assert 3 < len(shapes) <= 600 // 32 + 1


def test_top_k_of_all_experts_is_the_soft_mixture() -> None:
    moe, soft = mixture(4, 4), mixture(4, 0)
    soft.load_state_dict(moe.state_dict())
    tokens, task = torch.randn(3, 5, DIM), torch.randn(TASK)
    assert torch.equal(moe(tokens, task), soft(tokens, task))


def test_the_gate_report_tells_how_each_mixture_is_used(all_tasks: M2Dino, images: Tensor) -> None:
    net = copy.deepcopy(all_tasks)
    for block in net.backbone.mixtures:
        block.moe.keep_gates = True
    net(images, "lung")
    report = net.backbone.gate_report()
    assert report.shape == (6, 4)
    torch.testing.assert_close(report.sum(dim=1), torch.ones(6))


@torch.inference_mode()
def outputs(net: M2Dino, images: Tensor) -> dict[str, Output]:
    prefix, grid = net.prefix(images), (images.shape[-2] // 16, images.shape[-1] // 16)
    return {task_id: net.from_prefix(prefix, grid, task_id) for task_id in net.tasks}


def same(one: Output, other: Output) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("task_id", "top_k"), [*((task_id, 0) for task_id in ONE_OF_EACH.values()), ("lung", 2)])
def test_training_what_a_task_owns_changes_no_other_task(
    task_id: str, top_k: int, architecture: Architecture, images: Tensor
) -> None:
    torch.manual_seed(0)
    net = M2Dino(architecture.with_options(top_k=top_k), builtin_tasks()).eval()
    before = outputs(net, images)
    net.add_private_experts(task_id)
    added = outputs(net, images)
    assert all(same(before[name], added[name]) for name in net.tasks), "untrained private experts must change nothing"

    net.requires_grad_(False)
    own = list(net.own_parameters(task_id))
    for parameter in own:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(own, lr=1e-2)
    for _ in range(3):
        loss = sum(part.square().mean() for part in net(images, task_id))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # torch takes another path, with another rounding, for weights that need no gradient.
    net.requires_grad_(True)
    moved = [p for block in net.backbone.mixtures for p in block.private[net.key(task_id)].parameters()]
    assert all(parameter.grad is not None for parameter in own)
    assert any(parameter.abs().max() > 0 for parameter in moved)
    after = outputs(net, images)
    changed = {name for name in net.tasks if not same(before[name], after[name])}
    assert changed == {task_id}
    assert len(net.tasks) == 27


def test_private_experts_learn_through_to_the_answer(architecture: Architecture, images: Tensor) -> None:
    """Their last layer starts at zero: gradients must still reach the layers before it within a few steps."""
    torch.manual_seed(0)
    net = M2Dino(architecture, builtin_tasks())
    net.add_private_experts("breast_3cls")
    start = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.AdamW(net.own_parameters("breast_3cls"), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(net(images, "breast_3cls"), torch.tensor([0, 2])).backward()
        optimizer.step()
    private = [key for key in start if ".private." in key]
    assert len(private) == 6 * 7
    assert {key for key in private if torch.equal(net.state_dict()[key], start[key])} == set()
