"""The paper's three paradigms: which tasks share a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from m2dino.tasks import Task

Paradigm = Literal["all-task", "clinically-grouped", "task-specific"]


def partition(tasks: Mapping[str, Task], paradigm: Paradigm) -> dict[str, list[str]]:
    """Return {name: task ids} of the networks to train.

    all-task: one network; clinically-grouped: one for each clinical group of the tasks; task-specific: one a task.
    """
    if paradigm == "all-task":
        return {"all": sorted(tasks)}
    if paradigm == "task-specific":
        return {task_id: [task_id] for task_id in sorted(tasks)}
    groups: dict[str, list[str]] = {}
    for task_id in sorted(tasks):
        groups.setdefault(tasks[task_id].group, []).append(task_id)
    return groups
