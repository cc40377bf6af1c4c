"""How long a study will take, from a few steps of each kind of network made on this computer."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from m2dino.data.samples import LabelledFrames
from m2dino.device import choose_device
from m2dino.errors import UsageError
from m2dino.network.card import ModelCard, TaskReport
from m2dino.network.config import Architecture
from m2dino.network.model import M2Dino
from m2dino.predictor import Model
from m2dino.progress import never_stop
from m2dino.study.data import StudyData
from m2dino.study.execute import How, settings
from m2dino.study.figures import figures
from m2dino.study.plan import Plan, Run
from m2dino.tasks import Task
from m2dino.training.loop import train

STEPS = 4
SCORED = 4
EACH_S = 4.0
"""Reading, writing and other work of a run besides its steps."""
LEAST_STEPS = 5


@dataclass(frozen=True)
class Pace:
    """Seconds that things take.

    Attributes
    ----------
    alone : dict of str to float
        A batch of one task, by type of task.
    together : dict of str to float
        What a label of a network of several tasks costs of what it costs alone, by kind of network; a kind's network of
        one task is reckoned likewise.
    row : dict of str to float
        Scoring a held-out row, by type of task.
    """

    alone: dict[str, float]
    together: dict[str, float]
    row: dict[str, float]

    def per_step(self, plan: Plan, run: Run) -> float:
        """Return the seconds that `Run.steps` = 1 would take: a batch of each task."""
        batches = sum(self.alone[plan.tasks[task].type] for task in run.tasks)
        return batches * (self.together[run.arm] if len(run.tasks) > 1 else 1.0)

    def besides(self, plan: Plan, run: Run, data: StudyData) -> float:
        """Return the seconds of a run that do not grow with its steps."""
        rows = {task: len(own) for task, (own, _) in data.held_out(run).items()}
        return EACH_S + sum(count * self.row[plan.tasks[task].type] for task, count in rows.items())


def estimate(pace: Pace, plan: Plan, runs: Iterable[Run], data: StudyData, workers: int = 1) -> float:
    """Return the seconds that runs will take by so many workers as fast as this process."""
    each = [run.steps * pace.per_step(plan, run) + pace.besides(plan, run, data) for run in runs]
    return max(sum(each) / workers, max(each, default=0.0))


def steps_within(pace: Pace, plan: Plan, data: StudyData, seconds: float, workers: int = 1) -> int:
    """Return the steps with which a whole plan takes so many seconds.

    Raises
    ------
    UsageError
        There is no time for even a few.
    """
    fixed = sum(pace.besides(plan, run, data) for run in plan.runs) / workers
    each = sum(pace.per_step(plan, run) for run in plan.runs) / workers
    steps = int((seconds - fixed) / each)
    if steps < LEAST_STEPS:
        least = (fixed + LEAST_STEPS * each) / 60
        raise UsageError(
            f"{seconds / 60:g} minutes are too few for {len(plan.runs)} networks: at least {least:.0f} are needed. "
            "Leave out scales, seeds, kinds of network or tasks, or take smaller images."
        )
    return steps


def measure(plan: Plan, data: StudyData, how: How, threads: int) -> Pace:
    """Make a few steps of a network of one task of each type, and of each kind of network of most tasks."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        largest = {run.arm: run for run in sorted(plan.runs, key=lambda run: len(run.tasks))}
        base = largest[plan.base]
        alone: dict[str, float] = {}
        row: dict[str, float] = {}
        for task_id, task in sorted(plan.tasks.items()):
            if task.type not in alone:
                seconds, drawn, model = _timed(replace(base, tasks=(task_id,)), data, how)
                alone[task.type] = seconds / len(drawn)
                row[task.type] = _scored(model, data, base, task)
        together = {}
        for arm, run in largest.items():
            seconds, drawn, _ = _timed(run, data, how)
            together[arm] = seconds / sum(alone[plan.tasks[task].type] for task in drawn)
        return Pace(alone, together, row)
    finally:
        torch.set_num_threads(before)


def _timed(run: Run, data: StudyData, how: How) -> tuple[float, list[str], Model]:
    """Return the seconds of a few steps, what they learnt, and the network; the very first step does not count."""
    run = replace(run, scale=1.0, seed=0)
    own = data.training(run)
    architecture = Architecture.from_dict(run.architecture)
    net = M2Dino(architecture, own.tasks.values())
    seen: dict[int, list[str]] = {}
    ends: list[float] = []

    def note(step: int, task: str, loss: float) -> None:
        if step not in seen:
            ends.append(time.monotonic())
        seen.setdefault(step, []).append(task)

    frames = LabelledFrames(own.train, own.tasks, architecture.image_size)
    wanted = replace(settings(own, replace(run, steps=STEPS * len(run.tasks))), epochs=1e6)
    train(net, frames, wanted, device=how.device, on_step=note, should_stop=lambda: len(ends) > STEPS, workers=0)
    drawn = [task for step in sorted(seen)[1:] for task in seen[step]]
    card = ModelCard("", architecture, {task_id: TaskReport(task, 0) for task_id, task in own.tasks.items()})
    return ends[-1] - ends[0], drawn, Model(net, card, choose_device(how.device))


def _scored(model: Model, data: StudyData, run: Run, task: Task) -> float:
    """Return the seconds that scoring a held-out row takes."""
    rows, subjects = data.held_out(replace(run, tasks=(task.id,)))[task.id]
    started = time.monotonic()
    figures(model, {task.id: (rows[:SCORED], subjects[:SCORED])}, {task.id: task}, never_stop)
    return (time.monotonic() - started) / min(SCORED, len(rows))
