"""One run: m2dino's own training of a network, then its evaluation of the state that was kept. Goes on after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import torch
from m2dino.data.durable import write_whole
from m2dino.data.samples import LabelledFrames
from m2dino.device import choose_device, device_text
from m2dino.errors import UsageError
from m2dino.evaluation import model_source, score_rows
from m2dino.network.card import ModelCard, TaskReport
from m2dino.network.checkpoint import check_place, read_tensors, write_tensors
from m2dino.network.model import M2Dino
from m2dino.predictor import Model
from m2dino.progress import OnProgress, ShouldStop
from m2dino.scoring.report import to_json
from m2dino.tasks import Task
from m2dino.training.data import TrainingData, fingerprint
from m2dino.training.loop import train
from m2dino.training.run_folder import RunFolder
from m2dino.training.settings import TrainSettings
from m2dino.training.state import resume_path, run_folder
from torch import Tensor, nn


class Contender(Protocol):
    """A network to be trained and evaluated."""

    @property
    def name(self) -> str: ...
    @property
    def image_size(self) -> int: ...
    def describe(self) -> dict[str, Any]:
        """Return what it is, without places on this machine."""

    def build(self, tasks: Iterable[Task], ema: float = ...) -> tuple[M2Dino, str]:
        """Return the network as it starts, and whose weights it starts from."""


class Statistics:
    """Keeps the statistics of batch norms beside the state of a run, which holds parameters only.

    Parameters
    ----------
    net : nn.Module
    state_file : Path
        The run's state; the statistics are written anew whenever it is.
    """

    def __init__(self, net: nn.Module, state_file: Path) -> None:
        self.net, self.state_file = net, state_file
        self.path = state_file.with_name("statistics.safetensors")
        parameters = {name for name, _ in net.named_parameters()}
        self.names = [name for name in net.state_dict() if name not in parameters]
        if not state_file.exists():
            self.path.unlink(missing_ok=True)
        elif self.names and self.path.exists():
            net.load_state_dict(read_tensors(self.path), strict=False)
        self._seen = self._stamp()

    def on_step(self, step: int, task: str, loss: float) -> None:
        """Write them if the state was written since the step before."""
        if self._stamp() != self._seen:
            self.write()

    def write(self) -> None:
        self._seen = self._stamp()
        if self.names:
            state: dict[str, Tensor] = self.net.state_dict()
            write_tensors({name: state[name] for name in self.names}, {"format": "statistics"}, self.path)

    def _stamp(self) -> int | None:
        return self.state_file.stat().st_mtime_ns if self.state_file.exists() else None


def run(
    entrant: Contender,
    data: TrainingData,
    settings: TrainSettings,
    out: Path,
    *,
    device: str,
    workers: int,
    restart: bool,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> dict[str, Any] | None:
    """Train and evaluate, and write `out`/NAME.json; return what it holds, or None on a stop.

    Raises
    ------
    UsageError
        A finished run with other data or settings lies there, or weights are not installed.
    TrainingError
        An unfinished one does.
    """
    chosen = choose_device(device)
    told = {
        "name": entrant.name,
        "entrant": entrant.describe(),
        "settings": settings.to_dict(),
        "train": fingerprint(data.train),
        "held_out": fingerprint(data.val),
        "device": device_text(chosen),
        "threads": torch.get_num_threads(),
    }
    result_file, checkpoint = out / f"{entrant.name}.json", out / f"{entrant.name}.safetensors"
    check_place(checkpoint)
    state_file = resume_path(checkpoint)
    if restart:
        for file in (result_file, state_file):
            file.unlink(missing_ok=True)
    if result_file.exists():
        before: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
        if not told.items() <= before.items():
            raise UsageError(f"{result_file}: of other data or settings; name another folder, or give --restart.")
        return before

    torch.manual_seed(settings.seed)
    net, source = entrant.build(data.tasks.values(), settings.ema)
    reports = {task_id: TaskReport(task, *data.counts(task_id)) for task_id, task in data.tasks.items()}
    card = ModelCard(
        entrant.name,
        net.architecture,
        reports,
        id=entrant.name,
        fingerprint=told["train"],
        training={**settings.to_dict(), "start": source},
        limits="made for a comparison",
    )
    statistics = Statistics(net, state_file)
    result = train(
        net,
        LabelledFrames(data.train, data.tasks, entrant.image_size),
        settings,
        device=device,
        workers=workers,
        state_file=state_file,
        signature=json.dumps(told, sort_keys=True),
        folder=RunFolder(run_folder(checkpoint), card),
        held_out=LabelledFrames(data.val, data.tasks, entrant.image_size),
        on_progress=on_progress,
        should_stop=should_stop,
        on_step=statistics.on_step,
    )
    statistics.write()
    if result.stopped:
        return None
    rows, model = data.val, Model(net, card, chosen)
    scores = score_rows(
        model_source(model, should_stop), rows, data.tasks, on_progress=on_progress, should_stop=should_stop
    )
    if should_stop():
        return None
    figures = {
        **told,
        "weights_from": source,
        "parameters": sum(p.numel() for p in net.parameters()),
        "steps": result.steps,
        "seconds": round(result.seconds),
        "best_step": result.best.step if result.best else None,
        "rows": {task_id: list(data.counts(task_id)) for task_id in data.tasks},
        "figures": to_json(scores),
    }
    write_whole(result_file, (json.dumps(figures, indent=1) + "\n").encode())
    for file in (state_file, statistics.path):
        file.unlink(missing_ok=True)
    return figures
