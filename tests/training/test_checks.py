"""The score that chooses a state: what it is, when it is computed, and what it costs."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch
from m2dino.data.samples import LabelledFrames
from m2dino.network.config import Architecture
from m2dino.network.heads import (
    ClassificationOutput,
    DetectionOutput,
    RegressionOutput,
    SegmentationOutput,
)
from m2dino.network.model import M2Dino
from m2dino.tasks import builtin_tasks
from m2dino.training import checks
from m2dino.training.checks import COST, Check, HeldOut, History, Pace, number_of_checks, rows_per_task
from m2dino.training.colabelled import SharedForward
from m2dino.training.data import TrainingData
from m2dino.training.scores import answers, overall, task_score
from m2dino.training.settings import TrainSettings
from torch import Tensor

from tests.synthetic import TASKS

SEG, CLS, DET, REG = (builtin_tasks()[TASKS[kind]] for kind in TASKS)
HEAT = torch.zeros(1, 1, 4, 4)


def of_class(probabilities: list[float], truth: list[int]) -> float:
    p = torch.tensor(probabilities)
    output = ClassificationOutput(torch.stack([1 - p, p], dim=1).log())
    return task_score(CLS, answers(output, torch.tensor(truth)))


def test_a_perfect_answer_scores_1_and_a_useless_one_near_0() -> None:
    truth = torch.zeros(2, 8, 8, dtype=torch.long)
    truth[0, :4] = 1
    right = torch.stack([1.0 - truth, truth * 1.0], dim=1)
    assert task_score(SEG, answers(SegmentationOutput(right), truth)) == 1, "an empty mask left empty is right, too"
    assert task_score(SEG, answers(SegmentationOutput(1 - right), truth)) == 0

    box = torch.tensor([[0.1, 0.2, 0.5, 0.6]])
    assert task_score(DET, answers(DetectionOutput(box, HEAT), box)) == pytest.approx(1)
    assert task_score(DET, answers(DetectionOutput(box + 0.2, HEAT), box)) == pytest.approx(0.04 / 0.28)

    points = torch.tensor([[[0.3, 0.4], [0.5, torch.nan]]])
    found = torch.tensor([[[0.3, 0.45], [0.9, 0.9]]])
    shifted = task_score(REG, answers(RegressionOutput(found, HEAT), points))
    assert shifted == pytest.approx(torch.exp(torch.tensor(-1.0)).item(), abs=1e-4), "a point not visible is left out"
    assert task_score(REG, answers(RegressionOutput(points.nan_to_num(), HEAT), points)) == 1
    nothing = torch.full((1, 2, 2), torch.nan)
    assert math.isnan(task_score(REG, answers(RegressionOutput(found, HEAT), nothing)))


def test_always_the_frequent_class_scores_nothing() -> None:
    assert of_class([0.1] * 10, [0] * 9 + [1]) == pytest.approx(0)
    assert of_class([0.1, 0.2, 0.9, 0.8], [0, 0, 1, 1]) == pytest.approx(1)
    ranked = of_class([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1])
    assert ranked == pytest.approx(0.5), "the order is right, no answer is"


def test_a_type_counts_once_however_many_tasks_it_has() -> None:
    tasks = dict.fromkeys("abc", SEG) | {"d": REG, "e": DET}
    score, types = overall(tasks, {"a": 0.9, "b": 0.9, "c": 0.9, "d": 0.1, "e": float("nan")})
    assert types == {"segmentation": pytest.approx(0.9), "regression": pytest.approx(0.1)}
    assert score == pytest.approx(0.5)


def check(step: int, score: float) -> Check:
    return Check(step, score)


def test_the_first_of_the_best_is_kept_and_waiting_is_counted_from_it() -> None:
    history = History()
    added = [history.add(check(step, score)) for step, score in enumerate([float("nan"), 0.3, 0.5, 0.5, 0.4])]
    assert added == [False, True, True, False, False]
    assert history.best == check(2, 0.5)
    assert history.waited() == 2
    again = History([one.to_dict() for one in history.checks[1:]])
    assert (again.best, again.waited()) == (history.best, 2)


def test_a_run_in_steps_checks_at_even_steps_and_at_its_end() -> None:
    settings = TrainSettings(epochs=1, checks=4)
    for steps, wanted in ((1000, [250, 500, 750, 1000]), (30, [30]), (110, [28, 55, 83, 110])):
        pace = Pace(settings, steps)
        assert [step for step in range(1, steps + 1) if pace.due(step / steps, 0.0)] == wanted
    late = Pace(settings, 1000)
    late.done = 2
    assert [step for step in range(600, 1001) if late.due(step / 1000, 0.0)] == [750, 1000]


def test_a_run_in_minutes_leaves_out_checks_that_cost_more_than_a_tenth() -> None:
    pace, seconds, checks = Pace(TrainSettings(minutes=10, checks=20), None), 0.0, 0
    while seconds < 600:
        seconds += 0.5
        if pace.due(min(seconds / 600, 1), seconds):
            checks += 1
            pace.seconds += 25
            seconds += 25
    assert 2 <= checks < 6
    assert pace.seconds <= COST * 600 + 2 * 25
    assert pace.done == pace.count, "the last check is made"


@pytest.mark.parametrize("steps", [60, 500, 20000])
def test_the_rows_checked_are_few_enough_for_the_length_of_the_run(steps: int) -> None:
    settings, tasks, labels = TrainSettings(epochs=1, batch_size=16), 9, 2.5
    rows = rows_per_task(settings, steps, labels, tasks)
    # A third of a label learnt each: forward without backward.
    share = rows * tasks * number_of_checks(settings, steps) / 3 / (steps * settings.batch_size * labels)
    assert share <= COST or rows == 8
    assert 8 <= rows <= 64


def test_held_out_rows_are_scored_with_one_prefix_an_image(
    data: TrainingData, small: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net = M2Dino(small, data.tasks.values()).train()
    seen: list[int] = []
    prefix = net.prefix
    monkeypatch.setattr(net, "prefix", lambda images: (seen.append(len(images)), prefix(images))[1])
    held = HeldOut(LabelledFrames(data.train, data.tasks, small.image_size), 4)
    assert held.rows == 16

    def scored() -> Check:
        return held.check(SharedForward(net), 7, torch.device("cpu"), nullcontext())

    first = scored()
    assert sum(seen) == 4
    assert net.training, "training goes on as before"
    assert first == scored(), "no dropout, no augmentation"
    assert set(first.tasks) == set(TASKS.values())
    assert all(0 <= score <= 1 for score in [first.score, *first.types.values(), *first.tasks.values()])


def test_several_tasks_in_one_call_answer_as_one_by_one(small: Architecture) -> None:
    torch.manual_seed(0)
    net = M2Dino(small, [SEG, CLS, DET, REG]).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    together = SharedForward(net)(images, [task.id for task in (REG, SEG, CLS, DET)])
    for task_id, output in together.items():
        alone = net(net.normalise(images), task_id)
        assert type(output) is type(alone)
        for one, other in zip(output, alone, strict=True):
            assert torch.equal(one, other)


def test_a_step_of_several_tasks_has_the_sum_of_their_gradients(small: Architecture) -> None:
    torch.manual_seed(0)
    net = M2Dino(small, [SEG, REG]).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)

    def first(output: Tensor) -> Tensor:
        return output.float().square().mean()

    together = SharedForward(net)(images, [SEG.id, REG.id])
    sum(first(output[0]) for output in together.values()).backward()  # type: ignore[union-attr]
    summed = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    for task in (SEG, REG):
        first(net(net.normalise(images), task.id)[0]).backward()
    for name, parameter in net.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(summed[name], parameter.grad, msg=name)


def test_a_check_that_takes_too_long_drops_rows_for_good_but_no_task(
    data: TrainingData, small: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "BATCH", 1)
    torch.manual_seed(0)
    net = M2Dino(small, data.tasks.values())
    held = HeldOut(LabelledFrames(data.train, data.tasks, small.image_size), 64)
    assert held.rows == 24

    def scored(seconds: float) -> Check:
        return held.check(SharedForward(net), 7, torch.device("cpu"), nullcontext(), seconds)

    short = scored(0.0)
    assert set(short.tasks) == set(TASKS.values())
    assert held.rows == 4
    assert scored(1e9) == short, "the same rows from then on"
