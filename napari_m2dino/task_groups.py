"""The task list as a person searches it: trained tasks first, then by type and organ. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from m2dino.tasks import Task

from napari_m2dino.checkpoints import Checkpoint

TYPE_WORDS = {
    "segmentation": "segmentation",
    "classification": "classification",
    "detection": "detection",
    "regression": "measurement points",
}
TRAINED = "Known to this model"


@dataclass(frozen=True)
class Entry:
    """One task in the list; `figure` is the model's held-out figure, empty where it was never trained on it."""

    task: Task
    figure: str

    @property
    def trained(self) -> bool:
        return bool(self.figure)

    def matches(self, words: str) -> bool:
        """Whether every word typed occurs in id, title, type, organ, group or labels."""
        task = self.task
        haystack = " ".join(
            (task.id, task.title, TYPE_WORDS[task.type], task.type, task.organ, task.group, *task.label_names)
        ).lower()
        return all(word in haystack for word in words.lower().split())


def grouped(tasks: Iterable[Task], checkpoint: Checkpoint | None) -> list[tuple[str, list[Entry]]]:
    """Return (heading, entries): first those the model was trained on, then the others by type, organ and title."""
    entries = []
    for task in tasks:
        report = checkpoint.report(task) if checkpoint else None
        entries.append(Entry(task, report.headline() if report else ""))
    entries.sort(key=lambda entry: (list(TYPE_WORDS).index(entry.task.type), entry.task.organ, entry.task.title))
    groups: dict[str, list[Entry]] = {TRAINED: []}
    for entry in entries:
        if entry.trained:
            groups[TRAINED].append(entry)
        else:
            heading = TYPE_WORDS[entry.task.type]
            groups.setdefault(f"{heading[0].upper()}{heading[1:]}, to be trained", []).append(entry)
    return [(heading, members) for heading, members in groups.items() if members]


def in_words(task: Task) -> str:
    """Return type and organ of a task: "segmentation · neck vessels"."""
    return f"{TYPE_WORDS[task.type]} · {task.organ}"
