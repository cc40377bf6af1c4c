"""The rows of a study with their subjects, fit to be sent to another process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from m2dino.data.rows import Row
from m2dino.data.splits import subjects
from m2dino.errors import TooLittleDataError
from m2dino.study.plan import Run
from m2dino.study.scales import part, spread
from m2dino.tasks import Task
from m2dino.training.data import TrainingData, fingerprint


@dataclass(frozen=True)
class StudyData:
    """Rows to train on and rows held out, the same for every run.

    Attributes
    ----------
    train, val : list of Row
    train_subjects, val_subjects : list of str
        Whose each row is.
    tasks : dict of str to Task
        Those that have rows on both sides.
    """

    train: list[Row]
    val: list[Row]
    train_subjects: list[str]
    val_subjects: list[str]
    tasks: dict[str, Task]

    @cached_property
    def signature(self) -> str:
        """Of the contents of all rows."""
        return f"{fingerprint(self.train)} {fingerprint(self.val)}"

    def training(self, run: Run) -> TrainingData:
        """Return what a run trains on: nothing is held out there, so that nothing held out chooses its state."""
        rows = [self.train[i] for i in part(self.train, self.train_subjects, run.scale, run.seed)]
        tasks = {task: self.tasks[task] for task in run.tasks}
        return TrainingData([row for row in rows if row.task_id in tasks], [], tasks)

    def counts(self, scale: float, seed: int) -> dict[str, tuple[int, int]]:
        """Return (rows, subjects) of each task to train on at a scale."""
        subjects_of: dict[str, list[str]] = {task: [] for task in self.tasks}
        for index in part(self.train, self.train_subjects, scale, seed):
            subjects_of[self.train[index].task_id].append(self.train_subjects[index])
        return {task: (len(own), len(set(own))) for task, own in subjects_of.items()}

    def held_out(self, run: Run) -> dict[str, tuple[list[Row], list[int]]]:
        """Return for each task the rows that a run is scored on, and a number for the subject of each."""
        numbers = {subject: number for number, subject in enumerate(dict.fromkeys(self.val_subjects))}
        found: dict[str, tuple[list[Row], list[int]]] = {task: ([], []) for task in run.tasks}
        for index in spread(self.val, run.held_out):
            row = self.val[index]
            if row.task_id in found:
                found[row.task_id][0].append(row)
                found[row.task_id][1].append(numbers[self.val_subjects[index]])
        return found


def study_data(data: TrainingData) -> StudyData:
    """Return the tasks that can be both trained and scored, with the subject of each row.

    Raises
    ------
    TooLittleDataError
        There is none.
    """
    both = {task: one for task, one in data.tasks.items() if all(data.counts(task))}
    if not both:
        raise TooLittleDataError("No task has rows both to train on and to hold out; add data of more subjects.")
    data = data.only(both)
    keys = subjects([*data.train, *data.val])
    count = len(data.train)
    return StudyData(data.train, data.val, keys[:count], keys[count:], both)
