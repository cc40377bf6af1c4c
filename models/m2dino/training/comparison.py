"""Before and after a fine-tuning: what two models say of the same held-out frames, and how they use the experts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.errors import TrainingError
from m2dino.metrics import judged
from m2dino.network.card import HEADLINE
from m2dino.network.model import M2Dino
from m2dino.predictor import Model, load_model
from m2dino.progress import ShouldStop, never_stop
from m2dino.scoring.cases import Case, named_class
from m2dino.scoring.image_figures import ImageFigures, image_figures, quality
from m2dino.scoring.task_scores import TaskScores, summarise
from m2dino.tasks import Task
from m2dino.training.corrections import Corrections, corrections
from m2dino.training.finetune_common import FinetuneResult, said
from m2dino.training.guard import Change, compare
from m2dino.training.task_rows import TaskRow
from m2dino.values import ClassProbabilities, Value

OnFrame = Callable[[int, int], None]


@dataclass(frozen=True)
class Usage:
    """How a model uses its experts for a task, on average over tokens and frames.

    Attributes
    ----------
    gates : list of list of float, (mixtures, experts)
        Each row sums to 1; empty where the network has no gates.
    own : list of float
        Of each mixture, the share that the task's private expert has of what comes out: the length of its vector over
        that length and the length of the mixture's. Empty where the task has none.
    """

    gates: list[list[float]]
    own: list[float]


@dataclass(frozen=True, eq=False)
class HeldOutFrame:
    """One held-out frame: the label, and what each model says.

    Attributes
    ----------
    loop_id : str
    frame : int
    before : Value or None
        None where the model before does not know the task.
    after, truth : Value
    scored_before : ImageFigures or None
    scored_after : ImageFigures
    """

    loop_id: str
    frame: int
    before: Value | None
    after: Value
    truth: Value
    scored_before: ImageFigures | None
    scored_after: ImageFigures


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models on the held-out frames of a task.

    Attributes
    ----------
    task : Task
    before_id, after_id : str
        Ids of the models.
    frames : list of HeldOutFrame
        The worst of the model after first.
    change : Change or None
        None where the model before does not know the task.
    before, after : TaskScores or None
    usage_before : Usage or None
    usage_after : Usage
    """

    task: Task
    before_id: str
    after_id: str
    frames: list[HeldOutFrame]
    change: Change | None
    before: TaskScores | None
    after: TaskScores | None
    usage_before: Usage | None
    usage_after: Usage


@dataclass(frozen=True, eq=False)
class _Look:
    """What one model says of the held-out frames."""

    values: list[Value]
    figures: list[ImageFigures]
    usage: Usage


def compare_models(
    store: Store,
    task_id: str,
    before: Path,
    after: Path,
    *,
    data: Corrections | None = None,
    device: str = "auto",
    on_frame: OnFrame = lambda done, total: None,
    should_stop: ShouldStop = never_stop,
) -> Comparison | None:
    """Compare two checkpoints on the held-out frames of a task; None when told to stop.

    Parameters
    ----------
    store : Store
    task_id : str
    before, after : Path
    data : Corrections, optional
        The frames as they were at some moment; by default as they are now.
    device : str
    on_frame, should_stop : callables

    Raises
    ------
    TooLittleDataError
        Too few corrected frames.
    TrainingError
        The model after does not know the task as the store does.
    NotACheckpointError, StoreError
    """
    data = data or corrections(store, task_id)
    total, looks = 2 * len(data.heldout), list[_Look | None]()
    names = []
    for turn, path in enumerate((before, after)):
        model = load_model(path, device)
        names.append(model.id)
        if not _knows(model, data.task):
            if turn:
                raise TrainingError(f"{path}: this model does not know {task_id} as the corrections have it.")
            looks.append(None)
            continue
        start = turn * len(data.heldout)
        look = _look(model, store, data.heldout, data.task, partial(_after, on_frame, start, total), should_stop)
        if look is None:
            return None
        looks.append(look)
    old, new = looks
    assert new is not None
    frames = [
        HeldOutFrame(
            record.loop_id,
            record.frame,
            old.values[i] if old else None,
            new.values[i],
            _truth(record),
            old.figures[i] if old else None,
            new.figures[i],
        )
        for i, record in enumerate(data.heldout)
    ]
    frames.sort(key=lambda one: _rank(one.scored_after))
    scores = [summarise(data.task, look.figures) if look and look.figures else None for look in looks]
    first, second = scores
    return Comparison(
        data.task,
        names[0],
        names[1],
        frames,
        compare(first, second) if first and second else None,
        first,
        second,
        old.usage if old else None,
        new.usage,
    )


def task_rows(result: FinetuneResult, task_id: str, comparison: Comparison | None = None) -> list[TaskRow]:
    """Return a row for every task that was measured, the fine-tuned one first, then the most harmed.

    Parameters
    ----------
    result : FinetuneResult
    task_id : str
        The fine-tuned task.
    comparison : Comparison, optional
        Tells of the task itself, against the model that was in use.
    """
    rows = []
    for name, metrics in result.after.items():
        task = result.card.tasks[name].task
        metric = HEADLINE[task.type]
        if metric not in metrics:
            continue
        old, new, change = result.before.get(name, {}).get(metric), metrics[metric], result.verdict.changes.get(name)
        if comparison is not None and name == task_id and comparison.after is not None:
            old = judged(comparison.before).get(metric) if comparison.before is not None else None
            new = judged(comparison.after).get(metric, new)
            change = comparison.change
        rows.append(TaskRow.of(name, metric, old, new, change, name in result.verdict.harmed))
    return sorted(rows, key=lambda row: (row.task != task_id, not row.harmed, row.task))


def _after(on_frame: OnFrame, start: int, total: int, done: int) -> None:
    on_frame(start + done, total)


def _knows(model: Model, task: Task) -> bool:
    mine = model.tasks.get(task.id)
    return mine is not None and mine.agrees_with(task)


def _truth(record: Record) -> Value:
    assert record.value is not None  # only records that train are held out
    return record.value


def _rank(figures: ImageFigures) -> float:
    worth = quality(figures)
    return worth if np.isfinite(worth) else -np.inf


def _look(
    model: Model,
    store: Store,
    records: list[Record],
    task: Task,
    on_frame: Callable[[int], None],
    should_stop: ShouldStop,
) -> _Look | None:
    values: list[Value] = []
    figures: list[ImageFigures] = []
    with _watching(model.net, task.id) as watched:
        for record in records:
            if should_stop():
                return None
            value = said(model, record, store.frame(record.loop_id, record.frame), task)
            told = named_class(value) if isinstance(value, ClassProbabilities) else value
            figures.append(image_figures(task, Case(told, _truth(record), record.group or record.loop_id)))
            values.append(value)
            on_frame(len(values))
    return _Look(values, figures, watched.usage())


class _Watched:
    """Gates and shares of the private experts, call by call."""

    def __init__(self) -> None:
        self.gates: list[list[Tensor]] = []
        self.own: list[list[float]] = []

    def usage(self) -> Usage:
        gates = np.array([[row.tolist() for row in call] for call in self.gates])
        own = np.array(self.own)
        return Usage(
            gates.mean(axis=0).round(4).tolist() if gates.size else [],
            own.mean(axis=0).round(4).tolist() if own.size else [],
        )


@contextmanager
def _watching(net: M2Dino, task_id: str) -> Iterator[_Watched]:
    """Watch the mixtures of a network while it answers for a task, one call a frame."""
    watched = _Watched()
    mixtures = [block.moe for block in net.backbone.mixtures]
    private: dict[int, Tensor] = {}
    embedding = net.embeddings[net.key(task_id)]

    def is_own(given: tuple[Tensor, ...]) -> bool:
        # Points may be read with an outline (`Task.axes_of`), for which the network answers another task as well.
        return given[1] is embedding

    def heard(_module: nn.Module, _given: tuple[Tensor, ...], out: Tensor) -> None:
        private[0] = out

    def mixed(_module: nn.Module, _given: tuple[Tensor, ...], out: Tensor) -> None:
        if (own := private.pop(0, None)) is not None:
            mine, others = own.float().norm(dim=-1), (out - own).float().norm(dim=-1)
            watched.own[-1].append(float((mine / (mine + others).clamp_min(1e-9)).mean()))

    def began(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if not is_own(given):
            return
        watched.gates.append([])
        if net.has_private_experts(task_id):
            watched.own.append([])

    def gated(module: nn.Module, given: tuple[Tensor, ...], _out: Tensor) -> None:
        gates = module.last_gates
        if is_own(given) and isinstance(gates, Tensor) and net.architecture.routed and gates.shape[-1] > 1:
            watched.gates[-1].append(gates.float().mean(dim=(0, 1)).cpu())

    hooks = [mixtures[0].register_forward_pre_hook(began)] if mixtures else []
    for block, moe in zip(net.backbone.mixtures, mixtures, strict=True):
        moe.keep_gates = True
        if net.has_private_experts(task_id):
            hooks.append(block.private[net.key(task_id)].register_forward_hook(heard))
        hooks += [moe.register_forward_hook(mixed), moe.register_forward_hook(gated)]
    try:
        yield watched
    finally:
        for hook in hooks:
            hook.remove()
        for moe in mixtures:
            moe.keep_gates, moe.last_gates = False, None
