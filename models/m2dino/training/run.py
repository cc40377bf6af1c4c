"""One training run from rows to a checkpoint with its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from m2dino.predictor import Model
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.training.data import TrainingData, fingerprint
from m2dino.training.loop import TrainResult, train
from m2dino.training.settings import TrainSettings
from m2dino.training.state import resume_path


@dataclass(frozen=True)
class CardText:
    """What a person says of a checkpoint, for its card; TOML of the same keys is read by `m2dino train --card`."""

    title: str = "m2dino"
    licence: str = "the user's own"
    data: tuple[str, ...] = ()
    limits: str = ""
    extra: dict[str, str] = field(default_factory=dict)


def metric_values(scores: Mapping[str, Metric]) -> dict[str, MetricValue]:
    """Turn scores into what a card holds."""
    return {name: MetricValue(**metric.to_dict()) for name, metric in scores.items()}  # type: ignore[arg-type]


def _licence(text: CardText, architecture: Architecture, pretrained: bool, weights: Path | None) -> str:
    """Return the licence for the card; what the weights it started from ask for comes first."""
    if weights is not None:
        return f"that of the weights it started from (of Meta's: {DINOV3_LICENCE}); besides: {text.licence}"
    if pretrained:
        return f"{weights_licence(architecture.backbone)}; besides: {text.licence}"
    return text.licence


def finished(data: TrainingData, architecture: Architecture, settings: TrainSettings, out: Path) -> ModelCard | None:
    """Return the card of the checkpoint `out` if this very run has made it and come to its end, else None."""
    if resume_path(out).exists() or not out.is_file():
        return None
    try:
        card = read_card(out)
    except NotACheckpointError:
        return None
    same = card.architecture == architecture and settings.to_dict().items() <= card.training.items()
    return card if same and card.fingerprint == fingerprint(data.train) else None


def run(
    data: TrainingData,
    architecture: Architecture,
    settings: TrainSettings,
    out: Path,
    *,
    text: CardText | None = None,
    pretrained: bool = False,
    weights: Path | None = None,
    precision: str = "float32",
    device: str = "auto",
    workers: int = 1,
    restart: bool = False,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> tuple[ModelCard, TrainResult]:
    """Train from the start, or go on with an interrupted run, and write the checkpoint `out`.

    The checkpoint is written once before the evaluation on the held-out rows, and again with its figures. On a stop it
    holds the state so far, and repeating the call goes on from there.

    Raises
    ------
    TrainingError, CheckpointWriteError, DatasetError
    """
    text = text or CardText()
    check_place(out)
    # Not left to chance: the first weights are the seed's.
    torch.manual_seed(settings.seed)
    net = M2Dino(architecture, data.tasks.values(), pretrained=pretrained, weights=weights)
    frames = LabelledFrames(data.train, data.tasks, architecture.image_size)
    signature = fingerprint(data.train)
    state_file = resume_path(out)
    if restart:
        state_file.unlink(missing_ok=True)
    result = train(
        net,
        frames,
        settings,
        device=device,
        workers=workers,
        state_file=state_file,
        signature=f"{signature} {json.dumps(architecture.to_dict(), sort_keys=True)}",
        on_progress=on_progress,
        should_stop=should_stop,
    )
    net = net.cpu()
    reports = {task_id: TaskReport(task, *data.counts(task_id)) for task_id, task in data.tasks.items()}
    card = ModelCard(
        title=text.title,
        architecture=architecture,
        tasks=reports,
        fingerprint=signature,
        licence=_licence(text, architecture, pretrained, weights),
        data=text.data,
        limits=text.limits,
        training={**settings.to_dict(), "steps": result.steps, "seconds": round(result.seconds), **text.extra},
    )
    if precision == "float16":
        # Evaluate what is kept, not what it was rounded from.
        net = net.half().float()
    card = save_checkpoint(net, card, out, precision="float16" if precision == "float16" else "float32")
    if not result.stopped:
        scores = evaluate_rows(
            Model(net, card, choose_device(device)),
            data.val,
            data.tasks,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        reports = {
            task_id: replace(report, metrics=metric_values(scores.get(task_id, {})))
            for task_id, report in reports.items()
        }
        net = net.cpu()
        card = save_checkpoint(
            net, replace(card, tasks=reports), out, precision="float16" if precision == "float16" else "float32"
        )
        state_file.unlink(missing_ok=True)
    return card, result
