"""What a study compares, and that every comparison is fair."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from m2dino.errors import UsageError
from m2dino.network.moe import MoEMlp
from m2dino.study.arms import arm_options, equal_compute
from m2dino.study.data import StudyData
from m2dino.study.execute import settings
from m2dino.study.plan import Options, make_plan
from m2dino.study.scales import part
from m2dino.training.clock import Clock
from timm.layers.mlp import Mlp

from tests.synthetic import SMALL


def test_a_run_is_known_by_what_decides_it(data: StudyData) -> None:
    options = Options(seeds=2, steps=3, arms=("soft-2", "dense-2"))
    plan = make_plan(data.tasks, SMALL, options, data.signature)
    again = make_plan(data.tasks, SMALL, replace(options, seeds=3, scales=(0.25, 0.5, 1.0)), data.signature)
    assert {run.id for run in plan.runs} < {run.id for run in again.runs}  # more of a study keeps what there is
    for changed in (replace(options, steps=4), replace(options, batch_size=2), replace(options, held_out=1)):
        other = make_plan(data.tasks, SMALL, changed, data.signature)
        assert not {run.id for run in plan.runs} & {run.id for run in other.runs}


def test_a_group_of_one_task_is_not_trained_twice(data: StudyData) -> None:
    plan = make_plan(data.tasks, SMALL, Options(seeds=1, scales=(1.0,), arms=("soft-2",)), "data")
    # The two tasks are of two groups: two networks of one task, and one of both.
    assert len(plan.cells) == 3
    assert sorted(len(run.tasks) for run in plan.runs) == [1, 1, 2]


def test_every_task_is_learnt_equally_often_however_it_is_pooled(data: StudyData) -> None:
    options = Options(seeds=1, scales=(0.5, 1.0), steps=40, batch_size=2, arms=("soft-2",))
    learnt: dict[str, list[float]] = {task: [] for task in data.tasks}
    for run in make_plan(data.tasks, SMALL, options, "data").runs:
        own = data.training(run)
        told = settings(own, run)
        assert told.checks == 0
        labels = Clock(told, len(own.train)).steps  # of one label an image
        assert labels is not None
        for task in run.tasks:
            learnt[task].append(labels / len(run.tasks))
    assert all(count == pytest.approx(40, abs=1) for counts in learnt.values() for count in counts)


def test_less_data_is_part_of_more_by_whole_subjects(data: StudyData) -> None:
    for seed in range(3):
        smaller: set[int] = set()
        for scale in (0.1, 0.4, 0.8, 1.0):
            kept = set(part(data.train, data.train_subjects, scale, seed))
            assert smaller <= kept
            inside = {data.train_subjects[i] for i in kept}
            assert inside.isdisjoint(data.train_subjects[i] for i in range(len(data.train)) if i not in kept)
            assert {data.train[i].task_id for i in kept} == set(data.tasks)
            smaller = kept
        assert len(smaller) == len(data.train)


def test_a_dense_network_is_its_mixture_without_a_gate() -> None:
    mlp = Mlp(8, 16)
    task, tokens = torch.randn(4), torch.randn(2, 3, 8)
    dense = MoEMlp(mlp, 4, 4, routed=False)
    soft = MoEMlp(mlp, 4, 4)
    gates = sum(p.numel() for name, p in soft.named_parameters() if name.startswith("gate_"))
    assert sum(p.numel() for p in dense.parameters()) + gates == sum(p.numel() for p in soft.parameters())
    dense.reset_experts()
    soft.load_state_dict(dense.state_dict(), strict=False)
    with torch.no_grad():
        for layer in (soft.gate_token, soft.gate_task):
            assert layer is not None
            layer.weight.zero_()
        assert torch.allclose(dense(tokens, task), soft(tokens, task), atol=1e-6)
        assert torch.equal(dense(tokens, task), dense(tokens, task + 1))  # the task has no say


@pytest.mark.parametrize(("arm", "partner"), [("soft-4", "dense-4"), ("top2-8", "dense-2"), ("dense-3", "dense-3")])
def test_each_kind_of_network_has_a_dense_partner_of_equal_compute(arm: str, partner: str) -> None:
    assert equal_compute(arm) == partner


@pytest.mark.parametrize("arm", ["soft", "soft-0", "top4", "moe-4", "top0-4"])
def test_an_unknown_kind_of_network_is_refused(arm: str) -> None:
    with pytest.raises(UsageError, match="soft-N"):
        arm_options(arm)
