"""What both forms of fine-tuning share: settings, progress, result, and scoring on the held-out corrections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from m2dino.data.store import Store
from m2dino.metrics import Metric, score_task
from m2dino.network.card import HEADLINE, ModelCard
from m2dino.predictor import Model
from m2dino.tasks import Task
from m2dino.training.corrections import Corrections

BATCH = 8


@dataclass(frozen=True)
class FinetuneSettings:
    """How long and how fast to learn; the defaults are meant for one click on two CPU cores.

    Attributes
    ----------
    steps : int
        Batches of 8.
    pictures : int
        Pictures to prepare: each corrected frame plain, and augmented as often as fits.
    lr : float
    ema : float
    checks : int
        How often the held-out frames are scored on the way.
    seed : int
    """

    steps: int = 96
    pictures: int = 128
    lr: float = 2e-3
    ema: float = 0.95
    checks: int = 8
    seed: int = 0


@dataclass(frozen=True)
class FinetuneProgress:
    """Where a fine-tune stands.

    Attributes
    ----------
    done, total : int
        Steps.
    text : str
    loss : float or None
        Mean over the last steps.
    metric : (str, float) or None
        Headline metric on the held-out frames, when it has just been measured.
    eta_s : float or None
        Seconds left.
    """

    done: int
    total: int
    text: str
    loss: float | None = None
    metric: tuple[str, float] | None = None
    eta_s: float | None = None


@dataclass(frozen=True)
class FinetuneResult:
    """What became of it.

    Attributes
    ----------
    card : ModelCard
    before, after : dict of str to dict of str to Metric
        {task: {metric: Metric}} on held-out data: of the task itself, on its held-out corrections (nothing before, if
        the base did not know it), and in the shared form of every replayed task.
    harmed : tuple of str
        Other tasks that fell below the interval of before.
    train, heldout, loops : int
    seconds : float
    stopped : bool
    """

    card: ModelCard
    before: dict[str, dict[str, Metric]]
    after: dict[str, dict[str, Metric]]
    train: int
    heldout: int
    loops: int
    seconds: float
    stopped: bool
    harmed: tuple[str, ...] = field(default=())


OnFinetuneProgress = Callable[[FinetuneProgress], None]


def score_heldout(model: Model, store: Store, data: Corrections) -> dict[str, Metric]:
    """Official metrics on the held-out frames; empty where there are none."""
    if not data.heldout:
        return {}
    values = []
    for record in data.heldout:
        frame = store.frame(record.loop_id, record.frame)
        values.append(model.predict_frames([frame], data.task)[0].value)
    truths = [record.value for record in data.heldout if record.value is not None]
    return score_task(data.task, values, truths, [record.group or record.loop_id for record in data.heldout])


def goodness(metrics: dict[str, Metric], task: Task) -> float:
    """Return the headline metric, turned so that more is better; minus infinity where it is not known."""
    metric = metrics.get(HEADLINE[task.type])
    if metric is None or not np.isfinite(metric.value):
        return -np.inf
    return -metric.value if task.type == "regression" else metric.value
