"""What both forms of fine-tuning share: settings, progress, result, and scoring on the held-out corrections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from m2dino.cine.loop import Frame
from m2dino.data.records import Record
from m2dino.data.seen import crop_of
from m2dino.data.store import Store
from m2dino.metrics import Metric, judged
from m2dino.network.card import HEADLINE, LOWER_IS_BETTER, ModelCard
from m2dino.predictor import Model
from m2dino.progress import ShouldStop, never_stop
from m2dino.scoring.cases import Case, named_class
from m2dino.scoring.image_figures import image_figures
from m2dino.scoring.task_scores import TaskScores, summarise
from m2dino.tasks import Task
from m2dino.training.corrections import Corrections
from m2dino.training.finetune_settings import FinetuneSettings
from m2dino.training.guard import Verdict
from m2dino.training.suspicion import Compared, spread
from m2dino.values import ClassProbabilities, Value

__all__ = [
    "FinetuneProgress",
    "FinetuneResult",
    "FinetuneSettings",
    "OnFinetuneProgress",
    "compared",
    "goodness",
    "headline",
    "running_mean",
    "said",
    "score_heldout",
]


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


def running_mean(mean: float | None, loss: float) -> float:
    """Return the mean over the last losses after another one; `mean` is None before the first."""
    return loss if mean is None else 0.8 * mean + 0.2 * loss


@dataclass(frozen=True)
class FinetuneResult:
    """What became of it.

    Attributes
    ----------
    card : ModelCard
    before, after : dict of str to dict of str to Metric
        {task: {metric: Metric}} on held-out data: of the task itself, on its held-out corrections (nothing before, if
        the base did not know it), and in the shared form of every replayed task.
    train, heldout, loops : int
    seconds : float
    stopped : bool
    snapshot : Corrections
        What it was trained and measured on: the frames as they were when it began.
    verdict : Verdict
        What the guard says of the change.
    cautions : tuple of str
        What the labels could not teach or vouch for, and what was saved meanwhile; the model's card holds them, too.
    """

    card: ModelCard
    before: dict[str, dict[str, Metric]]
    after: dict[str, dict[str, Metric]]
    train: int
    heldout: int
    loops: int
    seconds: float
    stopped: bool
    snapshot: Corrections
    verdict: Verdict = field(default_factory=Verdict)
    cautions: tuple[str, ...] = ()

    @property
    def harmed(self) -> tuple[str, ...]:
        return self.verdict.harmed


OnFinetuneProgress = Callable[[FinetuneProgress], None]


def score_heldout(
    model: Model, store: Store, data: Corrections, should_stop: ShouldStop = never_stop
) -> TaskScores | None:
    """Score a model on the held-out frames, with the figures of each; None where there are none or it was stopped."""
    figures = []
    for record in data.heldout:
        if should_stop():
            return None
        assert record.value is not None
        value = said(model, record, store.frame(record.loop_id, record.frame), data.task)
        told = named_class(value) if isinstance(value, ClassProbabilities) else value
        figures.append(image_figures(data.task, Case(told, record.value, record.group or record.loop_id)))
    return summarise(data.task, figures) if figures else None


def compared(model: Model, store: Store, data: Corrections, should_stop: ShouldStop = never_stop) -> list[Compared]:
    """Return what a model says of some of the corrected frames, beside their labels; none where it was stopped."""
    found = []
    for record in spread([*data.train, *data.heldout]):
        if should_stop():
            return []
        assert record.value is not None
        frame = store.frame(record.loop_id, record.frame)
        found.append(Compared(frame.shape[:2], said(model, record, frame, data.task), record.value))
    return found


def said(model: Model, record: Record, frame: Frame, task: Task) -> Value:
    """Return what a model says of a corrected frame, seen as it was when it was corrected."""
    crop = crop_of(record, frame)
    if crop is None:
        return model.predict_frames([frame], task)[0].value
    return crop.value_out(model.predict_frames([crop.frame_in(frame)], task)[0].value)


def headline(scores: TaskScores) -> Metric | None:
    """Return the figure that stands for a task; None where nothing could be scored."""
    return judged(scores).get(HEADLINE[scores.task.type])


def goodness(scores: TaskScores | None) -> float:
    """Return the headline metric, turned so that more is better; minus infinity where it is not known."""
    metric = None if scores is None else headline(scores)
    if scores is None or metric is None or not np.isfinite(metric.value):
        return -np.inf
    return -metric.value if HEADLINE[scores.task.type] in LOWER_IS_BETTER else metric.value
