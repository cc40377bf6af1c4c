"""Advice by counts alone: the paper's evidence, with limits of our own between the cases that it tells of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from m2dino.advice.counts import TaskCount, partners
from m2dino.training.paradigms import Paradigm

POOR_POOL = 6000
"""Labels of all tasks: pools of 2,250 and 2,920 images did not gain, one of 11,910 did."""
RICH_TASK = 1200
"""Labels of one task: a segmentation of 1,780 lost a little by pooling, one of 760 gained much."""
FEW = 100
"""Labels of one task that are too few to train a network from the start on."""
MOSTLY = 0.9
Sure = Literal["measured", "likely", "a guess"]


@dataclass(frozen=True)
class Advice:
    """What to do with one task, or with all.

    Attributes
    ----------
    paradigm : str
        task-specific, clinically-grouped or all-task.
    reason : str
        One sentence.
    sure : str
        measured: an interval of the difference leaves out zero; likely: what the paper states applies; a guess: it
        rests on one or two reported cases, or on a rule of our own.
    evidence : tuple of str
        Ids in `evidence.EVIDENCE`.
    measured : dict
        Points by paradigm against the task alone, with intervals; empty where nothing was measured.
    """

    paradigm: Paradigm
    reason: str
    sure: Sure
    evidence: tuple[str, ...] = ()
    measured: Mapping[str, Any] | None = None


def by_counts(counts: Mapping[str, TaskCount], task_id: str) -> Advice:
    """Advise on one task."""
    one, pool = counts[task_id], sum(each.labels for each in counts.values())
    if len(counts) == 1:
        return Advice("task-specific", "There is no other task to pool it with.", "likely")
    own, kind = one.labels, one.task.type
    sensitive = kind in ("segmentation", "detection")
    told = ("segmentation",) if kind == "segmentation" else ("detection",) if kind == "detection" else ()
    if pool < POOR_POOL and sensitive and own < FEW:
        return Advice(
            "task-specific",
            f"Its {own} labels are too few to train on alone and all {pool} labels together are still few, so "
            "fine-tune a trained checkpoint on this task alone rather than pool it.",
            "a guess",
            ("scale", "groups", *told, "thresholds"),
        )
    if pool < POOR_POOL and sensitive:
        return Advice(
            "task-specific",
            f"All tasks together have {pool} labels, an amount at which pooling did not pay in the paper, and {kind} "
            f"{'suffers most from it' if kind == 'segmentation' else 'may suffer as segmentation does'}.",
            "a guess",
            ("scale", "groups", *told, "thresholds"),
        )
    if sensitive and own >= RICH_TASK:
        return Advice(
            "task-specific",
            f"With {own} labels of its own it has little to gain from others, and {kind} "
            f"{'suffers most from pooling' if kind == 'segmentation' else 'may suffer from pooling'}.",
            "a guess",
            (*told, "lesion", "thresholds"),
        )
    group = own + sum(counts[other].labels for other in partners(dict(counts), task_id))
    if group > own and group >= POOR_POOL and group >= MOSTLY * pool:
        return Advice(
            "clinically-grouped",
            f"Its group {one.task.group} holds {group} of all {pool} labels, so that the other groups would add little "
            "but time.",
            "a guess",
            ("groups", "thresholds"),
        )
    if pool < POOR_POOL:
        return Advice(
            "all-task",
            f"{kind.capitalize()} bears pooling well, and all-task training is the safer way to pool, though "
            f"{pool} labels in all promise little from it.",
            "a guess",
            ("segmentation", "all-task", "groups"),
        )
    check = "; compare it with a network of its own before you keep it" if sensitive else ""
    return Advice(
        "all-task",
        f"{own} labels of its own are few beside the {pool} of all tasks, and with much data pooling all is the most "
        f"consistent choice{check}.",
        "likely" if not sensitive else "a guess",
        ("scale", "all-task", *(("small",) if own < RICH_TASK else ()), *told),
    )


def overall(advice: Mapping[str, Advice]) -> Advice:
    """Advise on all tasks: what most of them are advised, and which to treat apart; all-task where it is even."""
    votes = Counter(one.paradigm for one in advice.values())
    paradigm = max(votes, key=lambda name: (votes[name], name == "all-task"))
    others = [task_id for task_id, one in advice.items() if one.paradigm != paradigm]
    evidence = tuple(dict.fromkeys(item for one in advice.values() for item in one.evidence))
    surest: Sure = min((one.sure for one in advice.values()), key=("a guess", "likely", "measured").index)
    if len(advice) == 1:
        return Advice(paradigm, "There is one task, so there is nothing to pool.", "likely", evidence)
    text = f"This is the advice for {votes[paradigm]} of {len(advice)} tasks"
    if others:
        named = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        text += f"; train otherwise, as their lines say: {named}"
    return Advice(paradigm, f"{text}.", surest, evidence)


def imbalance(counts: Mapping[str, TaskCount]) -> float:
    """Return how many times more labels the largest task has than the smallest."""
    sizes = [one.labels for one in counts.values()]
    return max(sizes) / min(sizes)
