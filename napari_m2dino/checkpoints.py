"""The checkpoints to choose from: the bundled one, those fine-tuned here, and any file the user opens. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from m2dino.errors import M2DinoError
from m2dino.lineage import checkpoint_folder
from m2dino.network.card import ModelCard, TaskReport, bundled_checkpoint, read_card
from m2dino.tasks import Task


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file and its model card."""

    path: Path
    card: ModelCard
    bundled: bool = False

    @property
    def title(self) -> str:
        """Name for a list."""
        return f"{self.card.title} (bundled)" if self.bundled else self.path.stem

    def report(self, task: Task | None) -> TaskReport | None:
        """Return what it knows of a task; None if it was never trained on it."""
        report = self.card.tasks.get(task.id) if task else None
        if report is None or task is None:
            return None
        return report if report.task.agrees_with(task) else None

    def tasks(self) -> list[Task]:
        """Return the tasks it was trained on."""
        return [report.task for report in self.card.tasks.values()]


def find_checkpoints(dataset: Path, others: Iterable[Path] = ()) -> tuple[list[Checkpoint], list[str]]:
    """Return the usable checkpoints, bundled first and then oldest to newest, and a sentence for each unusable file.

    Each is listed once, also where `others` name it again.
    """
    found: list[Checkpoint] = []
    problems: list[str] = []
    try:
        path = bundled_checkpoint()
        found.append(Checkpoint(path, read_card(path), bundled=True))
    except M2DinoError as error:
        problems.append(str(error))
    own = sorted(checkpoint_folder(dataset).glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    for file in dict.fromkeys([*own, *others]):
        if file in [one.path for one in found]:
            continue
        try:
            found.append(Checkpoint(file, read_card(file)))
        except M2DinoError as error:
            problems.append(str(error))
    return found, problems
