"""What a study says of known figures: what is shown, what is not, and nothing more."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from m2dino.advice.probes import Probes, measured
from m2dino.advice.rules import Advice
from m2dino.network.config import preset
from m2dino.study.changes import change
from m2dino.study.claims import more_data
from m2dino.study.plan import Options, Plan, Run, make_plan
from m2dino.study.reading import reading
from m2dino.study.report import to_html
from m2dino.study.results import Figure, Result
from m2dino.study.summary import summarise
from m2dino.tasks import builtin_tasks

METRICS = {"segmentation": "DSC", "classification": "Accuracy", "detection": "IoU", "regression": "MRE"}
TASK_IDS = ("breast_lesion", "breast_2cls", "thyroid_nodule_det", "fetal_femur", "FUGC", "carotid_artery")
IMAGES = 40


def plan_of(seeds: int = 3) -> Plan:
    tasks = {task_id: builtin_tasks()[task_id] for task_id in TASK_IDS}
    options = Options(seeds=seeds, scales=(0.25, 1.0), arms=("soft-4", "dense-4"))
    return make_plan(tasks, preset("tiny").with_options(image_size=128), options, "made up")


def results(plan: Plan, value: Callable[[Run, str], float]) -> dict[str, Result]:
    """Return results with a mean of `value` for each run and task, and a little noise of images and seeds."""
    there = {}
    for run in plan.runs:
        figures = {}
        for task in run.tasks:
            noise = np.random.default_rng([run.seed, len(run.tasks), TASK_IDS.index(task)]).normal(0, 0.02, IMAGES)
            metric = METRICS[plan.tasks[task].type]
            scale = 100 if metric == "MRE" else 1
            values = tuple(float(scale * (value(run, task) + each)) for each in noise)
            figures[task] = Figure(metric, values, tuple(i // 2 for i in range(IMAGES)))
        rows = {task: round(run.scale * 100 * (1 + TASK_IDS.index(task))) for task in run.tasks}
        gates = {task: [[0.4, 0.3, 0.2, 0.1]] * 6 for task in run.tasks} if run.arm == "soft-4" else {}
        there[run.id] = Result(run.id, figures=figures, gates=gates, rows=rows, subjects=rows, parameters=10)
    return there


def harmed(run: Run, task: str) -> float:
    """Pooling all tasks takes 0.1 from the lesion's Dice, and from the radial error of the femur."""
    pooled = len(run.tasks) > 2
    return 0.6 - (0.1 if pooled and task in ("breast_lesion", "fetal_femur") else 0)


def test_negative_transfer_is_named_and_gain_is_told_by_direction() -> None:
    plan = plan_of()
    summary = summarise(plan, results(plan, harmed))
    verdicts = {
        line.task: line.change.verdict for line in summary.pooling if (line.paradigm, line.scale) == ("all-task", 1.0)
    }
    assert verdicts["breast_lesion"] == "loss"
    assert verdicts["fetal_femur"] == "gain"  # its radial error fell
    text = " ".join(reading(summary))
    assert "shown to harm breast_lesion (negative transfer) and to help fetal_femur" in text
    page = to_html(summary)
    assert '<span class="loss">negative transfer</span>' in page
    assert page.count("data:image/png;base64,") == 5


def test_advice_tells_only_of_what_short_runs_measured() -> None:
    plan = plan_of(seeds=1)
    made = results(plan, lambda run, task: 0.6 - 0.2 * (len(run.tasks) > 1))
    guess = Advice("task-specific", "It may.", "a guess")

    def told(there: dict[str, Result]) -> Advice:
        return measured(Probes(summarise(plan, there), None, 5, 96), "breast_lesion", guess)

    stopped = told({key: one for key, one in made.items() if len(one.figures) < len(TASK_IDS)})
    assert stopped.sure == "measured"
    assert "clinical group" in stopped.reason
    assert "every" not in stopped.reason
    assert "all tasks" not in stopped.reason
    one_subject = {
        key: replace(one, figures={task: replace(each, subjects=(0,) * IMAGES) for task, each in one.figures.items()})
        for key, one in made.items()
    }
    assert "of one held-out subject" in told(one_subject).reason
    assert "nan" not in told(one_subject).reason


def test_one_seed_shows_nothing() -> None:
    plan = plan_of(seeds=1)
    summary = summarise(plan, results(plan, harmed))
    assert {line.change.verdict for line in summary.pooling} <= {"loss not shown", "gain not shown", "no change"}
    text = " ".join(reading(summary))
    assert "neither help nor harm any task" in text
    assert "With one seed nothing can be shown at all" in text


def test_a_group_of_one_task_is_compared_with_nothing() -> None:
    plan = plan_of()
    grouped = [line for line in summarise(plan, results(plan, harmed)).pooling if line.paradigm == "clinically-grouped"]
    assert {line.task for line in grouped} == {"breast_lesion", "breast_2cls", "fetal_femur", "FUGC"}


def test_what_is_missing_is_left_out_and_said() -> None:
    plan = plan_of()
    there = results(plan, harmed)
    for run in [run for run in plan.runs if run.seed == 2]:
        del there[run.id]
    broken = plan.runs[0]
    there[broken.id] = Result(broken.id, failed="The loss was not a number.")
    summary = summarise(plan, there)
    assert {line.seeds for line in summary.pooling} == {1, 2}
    assert len(summary.failed) == 1
    assert f"{summary.missing} planned networks are not trained yet and 1 failed" in reading(summary)[-1]


def test_a_study_without_results_is_still_a_page() -> None:
    summary = summarise(plan_of(), {})
    assert "0 networks of 6 tasks" in to_html(summary)


@pytest.mark.parametrize("metric", ["DSC", "MRE"])
def test_points_are_hundredths_or_percent(metric: str) -> None:
    here, there = ([Figure(metric, (value, value, math.nan), (0, 1, 2))] for value in (0.5, 0.4))
    told = change(here, there)
    assert told is not None
    assert told.points == pytest.approx(10 if metric == "DSC" else -25)
    assert math.isnan(told.by_seeds[0])


def test_a_seed_that_a_failed_run_leaves_out_is_left_out_of_every_mean() -> None:
    """Only the first seed gains, and only of the whole data: without it nothing is left to tell."""
    plan = plan_of()

    def lucky(run: Run, task: str) -> float:
        return 0.8 if run.seed == 0 and run.scale == 1.0 and len(run.tasks) == len(TASK_IDS) else 0.5

    there = results(plan, lucky)
    (lost,) = [run for run in plan.runs if tuple(run.tasks) == ("breast_lesion",) and (run.scale, run.seed) == (1.0, 0)]
    there[lost.id] = Result(lost.id, failed="The loss was not a number.")
    summary = summarise(plan, there)
    whole = [line for line in summary.pooling if (line.paradigm, line.scale) == ("all-task", 1.0)]
    assert {line.task: line.of_seeds for line in whole}["breast_lesion"] == (1, 2)
    assert {line.task: line.of_seeds for line in whole}["carotid_artery"] == (0, 1, 2)
    key = ("segmentation", "all-task", 1.0, "task-specific")
    (mean,) = [one for one in summary.types if (one.type, one.paradigm, one.scale, one.against) == key]
    assert abs(mean.points) < 2
    assert mean.by_seeds[1] < 30
    moved = re.search(r"moves by ([+-]\d+\.\d) points", more_data(summary))
    assert moved is not None
    assert abs(float(moved.group(1))) < 2
