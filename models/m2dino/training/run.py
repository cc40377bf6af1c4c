"""One training run from rows to a checkpoint with its card."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from m2dino.data.samples import LabelledFrames
from m2dino.device import choose_device
from m2dino.errors import NotACheckpointError
from m2dino.evaluation import evaluate_rows
from m2dino.metrics import Metric
from m2dino.network.card import MetricValue, ModelCard, TaskReport, read_card
from m2dino.network.checkpoint import check_place, save_checkpoint
from m2dino.network.config import Architecture
from m2dino.network.model import M2Dino
from m2dino.network.pretrained import DINOV3_LICENCE, weights_licence
from m2dino.network.stem_weights import start_stem
from m2dino.predictor import Model
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.training.checks import MOST_ROWS, HeldOut
from m2dino.training.data import TrainingData, fingerprint
from m2dino.training.halving import told_if_full
from m2dino.training.loop import TrainResult, train
from m2dino.training.processes import make_fabric
from m2dino.training.run_folder import RunFolder
from m2dino.training.settings import TrainSettings
from m2dino.training.state import resume_path, run_folder
from m2dino.training.temperatures import fit_temperatures


@dataclass(frozen=True)
class CardText:
    """What a person says of a checkpoint, for its card; TOML of the same keys is read by `m2dino train --card`."""

    title: str = "m2dino"
    licence: str = "the user's own"
    data: tuple[str, ...] = ()
    limits: str = ""
    extra: dict[str, str] = field(default_factory=dict)


def metric_values(scores: Mapping[str, Metric]) -> dict[str, MetricValue]:
    """Turn scores into what a card holds: those that are known, for an AUC of one class alone is no number."""
    known = {name: metric for name, metric in scores.items() if math.isfinite(metric.value)}
    return {name: MetricValue(**metric.to_dict()) for name, metric in known.items()}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Start:
    """What a network starts from.

    Attributes
    ----------
    pretrained : bool
        timm's weights of its backbone.
    weights : Path or None
        A safetensors file of such weights.
    """

    pretrained: bool = False
    weights: Path | None = None

    def signature(self) -> str:
        """Say what it is, without a path: a file by its contents."""
        if self.weights is None:
            return "timm" if self.pretrained else "random"
        try:
            with self.weights.open("rb") as file:
                return f"file {hashlib.file_digest(file, 'blake2b').hexdigest()[:32]}"
        except OSError as error:
            raise NotACheckpointError(f"{self.weights}: there is no such file of weights.") from error

    def absolute(self) -> Start:
        """Return the same, fit for a process with another working folder."""
        return self if self.weights is None else replace(self, weights=self.weights.absolute())

    def licence(self, text: CardText, architecture: Architecture) -> str:
        """Return the licence for the card; what the weights ask for comes first."""
        theirs = self.weights_licence(architecture)
        return f"{theirs}; besides: {text.licence}" if theirs else text.licence

    def weights_licence(self, architecture: Architecture) -> str:
        """Return the licence that what is trained from these weights comes under; empty where there are none."""
        if self.weights is not None:
            return f"that of the weights it started from (of Meta's: {DINOV3_LICENCE})"
        return weights_licence(architecture.backbone) if self.pretrained else ""


UNFINISHED = "unfinished"


def _unfinished(card: ModelCard) -> ModelCard:
    """Return the card of a run that has not come to its end, which says so."""
    return replace(card, training={**card.training, UNFINISHED: True})


def _finished_card(out: Path) -> ModelCard | None:
    """Return the card of the checkpoint `out`, if the run that made it came to its end."""
    try:
        card = read_card(out)
    except NotACheckpointError:  # or there is no file
        return None
    return None if UNFINISHED in card.training else card


def finished(
    data: TrainingData, architecture: Architecture, settings: TrainSettings, out: Path, start: Start | None = None
) -> ModelCard | None:
    """Return the card of the checkpoint `out` if this very run has made it and come to its end, else None."""
    card = None if resume_path(out).exists() else _finished_card(out)
    if card is None:
        return None
    told = {**settings.to_dict(), "start": (start or Start()).signature(), "held_out": fingerprint(data.val)}
    same = card.architecture == architecture and told.items() <= card.training.items()
    return card if same and card.fingerprint == fingerprint(data.train) else None


@told_if_full()
def run(
    data: TrainingData,
    architecture: Architecture,
    settings: TrainSettings,
    out: Path,
    *,
    text: CardText | None = None,
    start: Start | None = None,
    precision: Literal["float32", "float16"] = "float32",
    device: str = "auto",
    workers: int = 1,
    restart: bool = False,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> tuple[ModelCard, TrainResult]:
    """Train from the start, or go on with an interrupted run, and write the checkpoint `out`.

    Beside it, in the folder `state.run_folder`, are the settings, the figures and the best and the last state. The
    checkpoint is written once before the evaluation on the held-out rows, and again with its figures. On a stop it
    holds the state so far, unless the finished network of another run lies there, which stays; repeating the call goes
    on from there. Of several processes the first alone writes.

    Raises
    ------
    TrainingError, CheckpointWriteError, DatasetError
    """
    text, start = text or CardText(), start or Start()
    check_place(out)
    fabric = make_fabric(device)
    # Not left to chance: the first weights are the seed's.
    torch.manual_seed(settings.seed)
    net = M2Dino(architecture, data.tasks.values(), pretrained=start.pretrained, weights=start.weights)
    stem = start_stem(net)
    reports = {task_id: TaskReport(task, *data.counts(task_id)) for task_id, task in data.tasks.items()}
    # The held-out rows count, too: they decide which state is kept and when to stop.
    told = {**settings.to_dict(), "start": start.signature(), "held_out": fingerprint(data.val)}
    if stem is not None:
        told["stem"] = stem
    card = ModelCard(
        title=text.title,
        architecture=architecture,
        tasks=reports,
        fingerprint=fingerprint(data.train),
        licence=start.licence(text, architecture),
        data=text.data,
        limits=text.limits,
        training={**told, **text.extra},
    )

    folder = RunFolder(run_folder(out), card)
    state_file = resume_path(out)
    if restart and fabric.is_global_zero:
        state_file.unlink(missing_ok=True)
    fabric.barrier()
    held_out = LabelledFrames(data.val, data.tasks, architecture.image_size)
    result = train(
        net,
        LabelledFrames(data.train, data.tasks, architecture.image_size),
        settings,
        fabric=fabric,
        workers=workers,
        state_file=state_file,
        signature=json.dumps(
            [card.fingerprint, told["start"], told["held_out"], architecture.to_dict()], sort_keys=True
        ),
        folder=folder,
        held_out=held_out,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    card = replace(card, training={**card.training, "steps": result.steps, "seconds": round(result.seconds, 1)})
    if result.best is not None:
        card = replace(card, training={**card.training, "best_step": result.best.step, "score": result.best.score})
    if not fabric.is_global_zero:
        return card, result
    net = net.cpu()
    if precision == "float16":
        # Evaluate what is kept, not what it was rounded from.
        net = net.half().float()
    if result.stopped:
        if _finished_card(out) is None:
            card = save_checkpoint(net, _unfinished(card), out, precision=precision)
    else:
        written = save_checkpoint(net, _unfinished(card), out, precision=precision)
        card = replace(written, training=card.training)
        fitted = fit_temperatures(net.to(fabric.device).eval(), HeldOut(held_out, MOST_ROWS))
        reports = {task: replace(report, temperature=fitted.get(task, 1.0)) for task, report in reports.items()}
        card = replace(card, tasks=reports)
        scores = evaluate_rows(
            Model(net, card, choose_device(device)),
            data.val,
            data.tasks,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        if should_stop():  # the state is kept, so that a repetition has only this left to do
            return card, replace(result, stopped=True)
        reports = {
            task_id: replace(report, metrics=metric_values(scores.get(task_id, {})))
            for task_id, report in reports.items()
        }
        card = save_checkpoint(net.cpu(), replace(card, tasks=reports), out, precision=precision)
        state_file.unlink(missing_ok=True)
    return card, result
