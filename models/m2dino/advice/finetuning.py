"""Advice on one fine-tune: which form, and which tasks together, by what the dataset folder holds. No torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from m2dino.advice.counts import count
from m2dino.advice.rules import Sure, by_counts
from m2dino.errors import TooLittleDataError
from m2dino.tasks import TaskRegistry
from m2dino.training.paradigms import Paradigm

_WITH = {"clinically-grouped": "with the other tasks of its group", "all-task": "with all tasks"}


@dataclass(frozen=True)
class FormAdvice:
    """How to fine-tune a task.

    Attributes
    ----------
    form : str
        isolated or shared.
    paradigm : str
        task-specific, clinically-grouped or all-task.
    reason : str
        One sentence.
    sure : str
        likely or a guess: it is judged by counts; `m2dino advise --minutes` measures.
    """

    form: Literal["isolated", "shared"]
    paradigm: Paradigm
    reason: str
    sure: Sure

    def text(self) -> str:
        """Say it for a person, in a sentence or two."""
        how = "this task alone (isolated form)" if self.form == "isolated" else f"{_WITH[self.paradigm]} (shared form)"
        return f"Advice: {how}. {self.reason} Judged by counts; {self.sure}."


def advise_finetune(dataset: Path, registry: TaskRegistry, task_id: str, others: Collection[str]) -> FormAdvice | None:
    """Advise on fine-tuning a task of a dataset folder; None where its counts tell nothing of the task.

    Parameters
    ----------
    dataset : Path
    registry : TaskRegistry
    task_id : str
    others : collection of str
        The tasks that could learn beside it: those that the model knows and that there are labels enough of, in the
        folder or in data given to be replayed.

    Raises
    ------
    StoreError
        The folder cannot be read.
    """
    try:
        counts = count([], registry, dataset)
    except TooLittleDataError:
        return None
    if task_id not in counts:
        return None
    if not others:
        reason = "There are labels enough of no other task that the model knows, so only this one can learn."
        return FormAdvice("isolated", "task-specific", reason, "likely")
    counts = {name: one for name, one in counts.items() if name == task_id or name in others}
    if len(counts) == 1:
        return None  # what could learn beside it is elsewhere, and not counted
    told = by_counts(counts, task_id)
    form: Literal["isolated", "shared"] = "isolated" if told.paradigm == "task-specific" else "shared"
    return FormAdvice(form, told.paradigm, told.reason, told.sure)
