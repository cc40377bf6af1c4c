"""The folder beside a checkpoint that tells how it came about: settings, figures, curves, best and last state.

Nothing in it says whose data was trained on or where it lay.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from m2dino.data.durable import write_whole
from m2dino.errors import CheckpointWriteError
from m2dino.network.card import ModelCard
from m2dino.network.checkpoint import save_checkpoint
from m2dino.network.model import M2Dino
from m2dino.training.checks import Check

COLUMNS = ("step", "seconds", "lr", "task", "loss", "score")
LOG_STEPS = 10
ALL = "all"


class RunFolder:
    """The folder of a run.

    Attributes
    ----------
    config : Path
        config.json: settings, architecture, seed, signatures of the data, versions.
    metrics : Path
        metrics.csv: a line for the mean loss of each task over ten steps ("nan" for a step left out because its loss
        was no number), and one for each task's score at each check; states are chosen by the score of "all".
    curves : Path
        curves.png
    best, last : Path
        Checkpoints.

    Parameters
    ----------
    path : Path
    card : ModelCard
        Of all states of the run.
    """

    def __init__(self, path: Path, card: ModelCard) -> None:
        self.path, self.card = path, card
        self.config, self.metrics, self.curves = path / "config.json", path / "metrics.csv", path / "curves.png"
        self.best, self.last = path / "best.safetensors", path / "last.safetensors"
        self._waiting: list[dict[str, object]] = []
        self._losses: dict[str, list[float]] = {}

    def start(self, about: Mapping[str, Any], step: int) -> None:
        """Make the folder ready for a run that starts or goes on after `step` steps; `about` goes into its settings.

        Raises
        ------
        CheckpointWriteError
        """
        if step == 0:
            self.clear()
        rows = [row for row in self.rows() if int(row["step"]) <= step]
        config = {
            "architecture": self.card.architecture.to_dict(),
            "settings": self.card.training,
            "data": {"training": self.card.fingerprint},
            "tasks": {name: {"train": own.n_train, "held_out": own.n_val} for name, own in self.card.tasks.items()},
            "run": dict(about),
            "versions": {name: version(name) for name in ("torch", "timm", "napari-m2dino")},
        }
        self._write(self.config, (json.dumps(config, indent=2, sort_keys=True) + "\n").encode())
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self._write(self.metrics, text.getvalue().encode())

    def clear(self) -> None:
        """Forget an earlier run."""
        for file in (self.config, self.metrics, self.curves, self.best, self.last):
            file.unlink(missing_ok=True)

    def rows(self) -> list[dict[str, str]]:
        """Return the lines of the metrics that are whole."""
        try:
            text = self.metrics.read_text(encoding="utf-8")
        except OSError:
            return []
        # A kill may have cut the last line.
        whole = text[: text.rfind("\n") + 1]
        return [row for row in csv.DictReader(io.StringIO(whole)) if None not in row.values()]

    def log_loss(self, step: int, seconds: float, lr: float, losses: Mapping[str, float]) -> None:
        """Note the losses of a step; those that are no numbers stand for a step left out."""
        for task, loss in losses.items():
            if math.isfinite(loss):
                self._losses.setdefault(task, []).append(loss)
            else:
                self._waiting.append(self._row(step, seconds, lr, task, loss="nan"))
        if step % LOG_STEPS == 0:
            self.flush(step, seconds, lr)

    def log_check(self, check: Check, seconds: float, lr: float) -> None:
        """Note the scores of a check, and draw the curves."""
        scores = {**check.tasks, ALL: check.score}
        self.flush(check.step, seconds, lr)
        for task, score in scores.items():
            self._waiting.append(self._row(check.step, seconds, lr, task, score=f"{score:.5f}"))
        self.flush(check.step, seconds, lr)
        self.draw()

    def flush(self, step: int, seconds: float, lr: float) -> None:
        """Write what was noted.

        Raises
        ------
        CheckpointWriteError
        """
        for task, losses in sorted(self._losses.items()):
            self._waiting.append(self._row(step, seconds, lr, task, loss=f"{sum(losses) / len(losses):.5f}"))
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(self._waiting)
        self._losses, self._waiting = {}, []
        try:
            with self.metrics.open("a", encoding="utf-8", newline="") as stream:
                stream.write(text.getvalue())
        except OSError as error:
            raise _cannot_write(self.metrics, error) from error

    def draw(self) -> None:
        """Draw the curves anew."""
        from m2dino.training.curves import draw_curves

        self._write(self.curves, draw_curves(self.rows()))

    def keep_best(self, net: M2Dino, check: Check) -> None:
        """Write the best state so far.

        Raises
        ------
        CheckpointWriteError
        """
        self._keep(net, check, self.best)

    def keep_last(self, net: M2Dino, check: Check | None) -> None:
        """Write the last state, which may not have been scored.

        Raises
        ------
        CheckpointWriteError
        """
        self._keep(net, check, self.last)

    def _keep(self, net: M2Dino, check: Check | None, path: Path) -> None:
        told = {} if check is None else {"check": check.to_dict()}
        save_checkpoint(net, replace(self.card, training={**self.card.training, **told}), path)

    @staticmethod
    def _row(step: int, seconds: float, lr: float, task: str, **value: str) -> dict[str, object]:
        return {"step": step, "seconds": f"{seconds:.1f}", "lr": f"{lr:.3g}", "task": task, **value}

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_whole(path, data)
        except OSError as error:
            raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> CheckpointWriteError:
    return CheckpointWriteError(f"{path}: the log of the run cannot be written ({error}); free some space.")
