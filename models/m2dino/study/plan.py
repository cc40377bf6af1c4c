"""What a study is made of: the networks to train, each known by its contents.

The budget is the same for every way of pooling, twice over: each task is learnt in `steps` batches, so that no task is
learnt from more often in one network than in another, and the labels learnt from add up to the same over all the
networks of a paradigm. It is also the same at every scale: with less data the pictures come more often, so that what
differs is the data alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from m2dino.errors import UsageError
from m2dino.network.config import Architecture
from m2dino.study.arms import DEFAULT_ARMS, arm_architecture
from m2dino.tasks import Task
from m2dino.training.paradigms import Paradigm, partition

METHOD = 1
"""Raised whenever a change to this package would make runs of before and after incomparable."""
PARADIGMS: tuple[Paradigm, ...] = ("task-specific", "clinically-grouped", "all-task")


@dataclass(frozen=True)
class Options:
    """What a person asks of a study.

    Attributes
    ----------
    paradigms : tuple of str
    scales : tuple of float
        Shares of the subjects to train on, in (0, 1].
    seeds : int
        Each seed is another draw of the subjects of a scale, of the first weights and of all batches.
    arms : tuple of str
        Kinds of network (see `arms`). The first is the one that the paradigms are compared with; the others are trained
        on all tasks at the largest scale.
    steps : int
        Batches that each task is learnt in.
    batch_size : int
    held_out : int
        Most held-out rows of a task to score on; 0 for all.
    """

    paradigms: tuple[Paradigm, ...] = PARADIGMS
    scales: tuple[float, ...] = (0.25, 1.0)
    seeds: int = 3
    arms: tuple[str, ...] = DEFAULT_ARMS
    steps: int = 200
    batch_size: int = 8
    held_out: int = 0

    def __post_init__(self) -> None:
        if not self.paradigms or not self.scales or not self.arms or self.seeds < 1:
            raise UsageError("A study needs at least one paradigm, one scale, one seed and one kind of network.")
        if not all(0 < scale <= 1 for scale in self.scales):
            raise UsageError("Scales are shares of the subjects: more than 0 and at most 1.")
        if min(self.steps, self.batch_size) < 1 or self.held_out < 0:
            raise UsageError("Steps and batch size must be at least 1, and held-out rows not negative.")


@dataclass(frozen=True)
class Run:
    """One network to train.

    Attributes
    ----------
    tasks : tuple of str
        Sorted.
    arm : str
    scale : float
    seed : int
    steps, batch_size, held_out : int
        As in `Options`.
    architecture : dict
    data : str
        Signature of all rows of the study.
    start : str
        Signature of the first weights.
    """

    tasks: tuple[str, ...]
    arm: str
    scale: float
    seed: int
    steps: int
    batch_size: int
    held_out: int
    architecture: dict[str, Any] = field(hash=False)
    data: str = ""
    start: str = "random"

    @property
    def id(self) -> str:
        """Signature of all that decides the result."""
        told = json.dumps({**asdict(self), "method": METHOD}, sort_keys=True)
        return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()

    def text(self) -> str:
        """Say what it is to people."""
        tasks = self.tasks[0] if len(self.tasks) == 1 else f"{len(self.tasks)} tasks"
        return f"{tasks}, {self.arm}, {100 * self.scale:g} % of the subjects, seed {self.seed}"


@dataclass(frozen=True)
class Cell:
    """A paradigm with a kind of network at a scale and seed: the networks that together answer every task."""

    paradigm: Paradigm
    arm: str
    scale: float
    seed: int
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Plan:
    """The cells of a study, in the order in which they are worth having."""

    options: Options
    tasks: dict[str, Task]
    cells: tuple[Cell, ...]

    @property
    def runs(self) -> list[Run]:
        """Every run once: a group of one task is the same network as that task alone."""
        return list({run.id: run for cell in self.cells for run in cell.runs}.values())

    @property
    def base(self) -> str:
        """The kind of network that the paradigms are compared with."""
        return self.options.arms[0]

    @property
    def full(self) -> float:
        """The largest scale."""
        return max(self.options.scales)


def make_plan(
    tasks: Mapping[str, Task], architecture: Architecture, options: Options, data: str, start: str = "random"
) -> Plan:
    """Lay out a study; seed by seed, so that one cut short has whole comparisons.

    Raises
    ------
    UsageError
        A kind of network is not known.
    """
    shapes = {arm: arm_architecture(architecture, arm).to_dict() for arm in options.arms}

    def cell(paradigm: Paradigm, arm: str, scale: float, seed: int) -> Cell:
        runs = tuple(
            Run(
                tuple(sorted(own)),
                arm,
                scale,
                seed,
                options.steps,
                options.batch_size,
                options.held_out,
                shapes[arm],
                data,
                start,
            )
            for own in partition(tasks, paradigm).values()
        )
        return Cell(paradigm, arm, scale, seed, runs)

    cells = []
    scales = sorted(set(options.scales), reverse=True)
    for seed in range(options.seeds):
        cells += [cell(paradigm, options.arms[0], scale, seed) for scale in scales for paradigm in options.paradigms]
        cells += [cell("all-task", arm, scales[0], seed) for arm in _others(options.arms)]
    return Plan(options, dict(tasks), tuple(dict.fromkeys(cells)))


def _others(arms: Iterable[str]) -> list[str]:
    """Return the kinds of network to compare; the first again among them where there are any."""
    distinct = list(dict.fromkeys(arms))
    return distinct if len(distinct) > 1 else []
