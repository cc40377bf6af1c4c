"""What is known of a fine-tuning, under way or ended, as its child process tells it. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m2dino.lineage import LineModel
from m2dino.training.comparison_report import Report
from m2dino.training.task_rows import TaskRow


@dataclass
class Run:
    """What is known of the training under way, or of the last one.

    Attributes
    ----------
    task_id : str
    base : Path
        The checkpoint that it started from.
    losses : list of (float, float)
        (step, loss) pairs so far.
    metric : list of (float, str, float)
        (step, name, value) of the held-out figure so far.
    text, plan : str
        What it does now, and how many frames are trained on and held out.
    eta_s : float or None
    checkpoint : Path or None
        What came of it; None until it has finished.
    rows : list of TaskRow
        The tasks that were measured, before and after.
    unchanged : int
        Tasks that cannot have changed.
    warnings : list of str
        What the guard holds against the new model.
    cautions : list of str
        What the labels could not teach or vouch for.
    report_folder : Path or None
    report : Report or None
        Held-out frames and experts, once they are read.
    seconds : float
        How long it took; 0 of one of another day.
    stopped : bool
    train, frames : int
        Frames trained on, and with those held out, when it began.
    """

    task_id: str
    base: Path
    losses: list[tuple[float, float]] = field(default_factory=list)
    metric: list[tuple[float, str, float]] = field(default_factory=list)
    text: str = "Starting…"
    plan: str = ""
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    checkpoint: Path | None = None
    rows: list[TaskRow] = field(default_factory=list)
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    report_folder: Path | None = None
    report: Report | None = None
    seconds: float = 0.0
    stopped: bool = False
    train: int = 0
    frames: int = 0

    @classmethod
    def earlier(cls, model: LineModel, report: Report, folder: Path) -> Run:
        """Return the run that a model of another day came from, as far as its report tells."""
        run = cls(report.task, model.file, checkpoint=model.file, report=report, report_folder=folder)
        run.rows, run.unchanged, run.warnings = list(report.rows), report.unchanged, list(report.warnings)
        run.cautions = list(report.cautions)
        run.train, run.frames = model.train or 0, (model.train or 0) + (model.heldout or 0)
        return run

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take note of what the child says on the way."""
        if event["event"] == "started":
            self.train, heldout = int(event.get("train", 0)), event.get("heldout", "?")
            self.plan = f"Training on {self.train} frames; {heldout} held out to measure it"
            self.text = self.plan
        elif event["event"] == "progress":
            self._progress(event)

    def _progress(self, event: Mapping[str, Any]) -> None:
        step, loss = float(event.get("epoch") or event.get("done") or 0), event.get("loss")
        self.text = self.plan if loss is not None else str(event.get("text", ""))
        if loss is not None or not self.losses:
            self.done, self.total = int(event.get("done", 0)), int(event.get("total", 0))
        self.eta_s = event.get("eta_s")
        if loss is not None:
            self.losses.append((step, float(loss)))
        if metric := event.get("metric"):
            self.metric.append((step, str(metric["name"]), float(metric["value"])))

    def end(self, event: Mapping[str, Any]) -> None:
        """Take note of what came of it."""
        self.checkpoint = Path(str(event["checkpoint"]))
        self.rows = [TaskRow.from_dict(row) for row in event.get("rows") or ()]
        self.unchanged, self.warnings = int(event.get("unchanged") or 0), list(event.get("warnings") or ())
        self.cautions = list(event.get("cautions") or ())
        self.seconds, self.stopped = float(event.get("seconds", 0)), bool(event.get("stopped"))
        if event.get("report"):
            self.report_folder = Path(str(event["report"]))

    @property
    def epochs(self) -> str:
        """How often each frame was seen so far, in words; empty before the first step."""
        if not self.train or not self.losses:
            return ""
        return f"epoch {self.done * BATCH / self.train:.0f} of {self.total * BATCH / self.train:.0f}"


BATCH = 8
"""Frames a step; as `m2dino finetune` says of --steps."""


def outcome(run: Run) -> str:
    """Return in a few words what became of a training: how long it took, and the tasks that could not change."""
    head = f"Trained in {run.seconds:.0f} s" if run.seconds else "Trained earlier, and not decided on yet"
    head += ", stopped early" if run.stopped else ""
    if run.unchanged:
        head += f". {run.unchanged} other tasks: unchanged, for only this one learned"
    if others := run.rows[1:]:
        worse = sum(row.harmed for row in others)
        head += f". {len(others)} other task{'s' if len(others) > 1 else ''} measured, {worse or 'none'} worse"
    if not run.rows:
        head += ". It was not measured" if run.stopped else ". Nothing was held out to measure it on"
    return f"{head}."
