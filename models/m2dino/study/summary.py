"""What a study found, as plain data: the tables that the report, the CSV file and the JSON file show."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from m2dino.study.arms import arm_options, equal_compute
from m2dino.study.changes import Change, Interval, change, over_seeds
from m2dino.study.plan import Cell, Plan
from m2dino.study.results import Figure, Result

REFERENCE = "task-specific"


@dataclass(frozen=True)
class Line:
    """One task in one comparison.

    Attributes
    ----------
    task, type, group : str
    paradigm, arm, scale
        Of the network that is compared.
    against : str
        With what: "task-specific", or a kind of network.
    rows, subjects : float
        Trained on, means over the seeds.
    of_seeds : tuple of int
        The seeds that have both sides; of each of them one value of `change.each_seed`.
    images, held_out_subjects : int
    change : Change
    """

    task: str
    type: str
    group: str
    paradigm: str
    arm: str
    scale: float
    against: str
    rows: float
    subjects: float
    of_seeds: tuple[int, ...]
    images: int
    held_out_subjects: int
    change: Change

    @property
    def seeds(self) -> int:
        """How many seeds have both sides."""
        return len(self.of_seeds)

    @property
    def by_seed(self) -> dict[int, float]:
        """The change in points of each seed."""
        return dict(zip(self.of_seeds, self.change.each_seed, strict=True))


@dataclass(frozen=True)
class TypeMean:
    """The mean over the tasks of a type of the change in points, with its interval over seeds."""

    type: str
    paradigm: str
    arm: str
    scale: float
    against: str
    tasks: int
    points: float
    by_seeds: Interval


@dataclass(frozen=True)
class Cost:
    """What a kind of network costs: parameters, and mean seconds of training of all tasks at the largest scale."""

    arm: str
    parameters: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """All that a study found.

    Attributes
    ----------
    plan : Plan
    results : dict of str to Result
        Of the runs that have figures.
    pooling : list of Line
        Paradigms against task-specific networks.
    arms : list of Line
        Mixtures against the dense network of equal compute and against the first kind of network, all tasks together
        at the largest scale.
    types : list of TypeMean
        Of both.
    costs : list of Cost
    gates : dict of str to ndarray, (blocks, experts)
        By task, of the first seed, of the first kind of network trained on all tasks at the largest scale.
    failed : list of str
    missing : int
        Runs without a result.
    """

    plan: Plan
    results: dict[str, Result]
    pooling: list[Line]
    arms: list[Line]
    types: list[TypeMean]
    costs: list[Cost]
    gates: dict[str, np.ndarray]
    failed: list[str]
    missing: int

    @property
    def seeds(self) -> int:
        """Seeds of which there is something to compare."""
        return max((line.seeds for line in [*self.pooling, *self.arms]), default=0)


def summarise(plan: Plan, there: Mapping[str, Result]) -> Summary:
    """Compare what can be compared; a seed that lacks a side of a comparison is left out of it."""
    done = {key: result for key, result in there.items() if not result.failed}
    cells: dict[tuple[str, str, float, int], Cell] = {
        (cell.paradigm, cell.arm, cell.scale, cell.seed): cell for cell in plan.cells
    }
    pooling, arms = [], []
    for paradigm in plan.options.paradigms:
        if paradigm != REFERENCE:
            for scale in sorted(set(plan.options.scales)):
                here, against = (paradigm, plan.base, scale), (REFERENCE, plan.base, scale)
                pooling += _lines(plan, cells, done, here, against, REFERENCE)
    for arm, partner in _pairs(plan.options.arms):
        here, against = ("all-task", arm, plan.full), ("all-task", partner, plan.full)
        arms += _lines(plan, cells, done, here, against, partner)
    whole = [cell for cell in plan.cells if (cell.paradigm, cell.scale) == ("all-task", plan.full)]
    failed = [f"{run.text()}: {there[run.id].failed}" for run in plan.runs if run.id in there and there[run.id].failed]
    return Summary(
        plan,
        done,
        pooling,
        arms,
        _type_means([*pooling, *arms]),
        _costs(whole, done),
        _gates([cell for cell in whole if cell.arm == plan.base], done),
        failed,
        sum(run.id not in there for run in plan.runs),
    )


Key = tuple[str, str, float]


def _lines(
    plan: Plan,
    cells: Mapping[tuple[str, str, float, int], Cell],
    done: Mapping[str, Result],
    here: Key,
    there: Key,
    against: str,
) -> list[Line]:
    lines = []
    for task_id, task in plan.tasks.items():
        pairs: list[tuple[Figure, Figure, Result]] = []
        of_seeds: list[int] = []
        for seed in range(plan.options.seeds):
            found = [_result(cells.get((*key, seed)), task_id, done) for key in (here, there)]
            # A group of one task is that task's own network: there is nothing to compare.
            if found[0] is not None and found[1] is not None and found[0].id != found[1].id:
                pairs.append((found[0].figures[task_id], found[1].figures[task_id], found[0]))
                of_seeds.append(seed)
        told = change([ours for ours, _, _ in pairs], [theirs for _, theirs, _ in pairs])
        if told is not None:
            figure = pairs[0][0]
            lines.append(
                Line(
                    task_id,
                    task.type,
                    task.group,
                    *here,
                    against,
                    float(np.mean([result.rows[task_id] for _, _, result in pairs])),
                    float(np.mean([result.subjects[task_id] for _, _, result in pairs])),
                    tuple(of_seeds),
                    len(figure.images),
                    len(set(figure.subjects)),
                    told,
                )
            )
    return lines


def _pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Return (mixture, what it is compared with)."""
    mixtures = [arm for arm in dict.fromkeys(arms) if routed(arm)]
    pairs = [(arm, equal_compute(arm)) for arm in mixtures if equal_compute(arm) in arms]
    return list(dict.fromkeys([*pairs, *((arm, arms[0]) for arm in mixtures if arm != arms[0])]))


def _result(cell: Cell | None, task: str, done: Mapping[str, Result]) -> Result | None:
    """Return the result of the network of a cell that answers a task."""
    if cell is None:
        return None
    return next((done[run.id] for run in cell.runs if task in run.tasks and run.id in done), None)


def common_seeds(lines: Sequence[Line]) -> list[int]:
    """Return the seeds that all lines have: a run that failed takes its seed out of a mean over lines."""
    seeds = [set(line.of_seeds) for line in lines]
    return sorted(seeds[0].intersection(*seeds[1:])) if seeds else []


def _type_means(lines: list[Line]) -> list[TypeMean]:
    by_key: dict[tuple[str, str, str, float, str], list[Line]] = defaultdict(list)
    for line in lines:
        if not math.isnan(line.change.points):
            by_key[line.type, line.paradigm, line.arm, line.scale, line.against].append(line)
    means = []
    for key, own in by_key.items():
        each = [float(np.mean([line.by_seed[seed] for line in own])) for seed in common_seeds(own)]
        if each:
            means.append(TypeMean(*key, len(own), float(np.mean(each)), over_seeds(each)))
    return means


def _costs(whole: list[Cell], done: Mapping[str, Result]) -> list[Cost]:
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for cell in whole:
        by_arm[cell.arm] += [done[run.id] for run in cell.runs if run.id in done]
    return [
        Cost(arm, own[0].parameters, float(np.mean([result.train_seconds for result in own])))
        for arm, own in by_arm.items()
        if own
    ]


def _gates(cells: list[Cell], done: Mapping[str, Result]) -> dict[str, np.ndarray]:
    by_task: dict[str, list[list[list[float]]]] = defaultdict(list)
    for cell in cells:
        for run in cell.runs:
            for task, gates in (done[run.id].gates if run.id in done else {}).items():
                by_task[task].append(gates)
    # Experts have no names that hold from one seed to the next: a mean over seeds would level them out.
    return {task: np.array(own[0]) for task, own in by_task.items()}


def routed(arm: str) -> bool:
    """Whether a kind of network has a gate over several experts."""
    options = arm_options(arm)
    return bool(options["routed"]) and options["num_experts"] > 1
