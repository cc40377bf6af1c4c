"""From a finished fine-tune to its report: the comparison made, the pictures drawn, the guard's last word written."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

from m2dino.data.store import Store
from m2dino.network.card import ModelCard, read_card
from m2dino.network.card_file import rewrite_card
from m2dino.progress import ShouldStop, never_stop
from m2dino.scoring.image_figures import ImageFigures
from m2dino.tasks import Task
from m2dino.training.comparison import Comparison, HeldOutFrame, OnFrame, Usage, compare_models, task_rows
from m2dino.training.comparison_pictures import triptych
from m2dino.training.comparison_report import Experts, FramePicture, Report, write_report
from m2dino.training.finetune_common import FinetuneResult
from m2dino.training.task_rows import TaskRow
from m2dino.values import ClassProbabilities, Value

MOST_PICTURES = 24
_QUALITY = 88


@dataclass(frozen=True)
class Outcome:
    """What is known after a fine-tune.

    Attributes
    ----------
    card : ModelCard
        Of the new checkpoint.
    rows : list of TaskRow
    warnings : list of str
    unchanged : int
        Tasks that cannot have changed.
    report : Path or None
        The folder, where one was written.
    """

    card: ModelCard
    rows: list[TaskRow]
    warnings: list[str]
    unchanged: int
    report: Path | None = None


def outcome(
    result: FinetuneResult,
    store: Store,
    task_id: str,
    out: Path,
    base: Path,
    *,
    in_use: Path | None = None,
    report: Path | None = None,
    device: str = "auto",
    on_frame: OnFrame = lambda done, total: None,
    should_stop: ShouldStop = never_stop,
) -> Outcome:
    """Tell what became of a fine-tune, with a report where one is asked for and nobody has told it to stop.

    Parameters
    ----------
    result : FinetuneResult
    store : Store
    task_id : str
    out, base : Path
        The new checkpoint, and the one that it was trained from.
    in_use : Path, optional
        The model that the new one would take the place of; by default the base. Where that is another model and does
        better on the held-out frames, the new one's card says so.
    report : Path, optional
        Folder to write.
    device : str
    on_frame, should_stop : callables

    Raises
    ------
    TrainingError
        The report cannot be written; the checkpoint is safe.
    NotACheckpointError, StoreError, CheckpointWriteError
    """
    before = in_use or base
    others = before.resolve() != base.resolve()
    card, comparison = result.card, None
    warnings = result.verdict.warnings(task_id)
    if result.heldout and (report is not None or others) and not should_stop():
        comparison = compare_models(
            store, task_id, before, out, data=result.snapshot, device=device, on_frame=on_frame, should_stop=should_stop
        )
    # Against the base itself the guard has said it already, of the same frames read the same way.
    if comparison is not None and others and comparison.change is not None and comparison.change.harmed:
        text = (
            f"It does worse than the model in use ({comparison.before_id}) on the held-out frames: "
            f"{comparison.change.text()}."
        )
        warnings = [*warnings, text]
        card = _doubted(out, text)
    isolated = card.training.get("form") == "isolated"
    # Measured, or named as not measured, is every task whose result can change.
    can_change = {task_id, *result.verdict.changes, *result.verdict.unmeasured}
    unchanged = len(set(card.tasks) - can_change) if isolated else 0
    rows = task_rows(result, task_id, comparison)
    if comparison is None or report is None:
        return Outcome(card, rows, warnings, unchanged)
    pictures, frames = _pictures(comparison, store)
    write_report(
        Report(
            task_id,
            comparison.before_id,
            comparison.after_id,
            tuple(rows),
            unchanged,
            tuple(warnings),
            tuple(frames),
            len(comparison.frames),
            _experts(comparison.usage_before),
            _experts(comparison.usage_after),
            result.cautions,
        ),
        pictures,
        report,
    )
    return Outcome(card, rows, warnings, unchanged, report)


def _doubted(path: Path, text: str) -> ModelCard:
    card = read_card(path)
    doubts = [*(card.training.get("doubts") or ()), text]
    card = replace(card, limits=f"{card.limits} {text}".strip(), training={**card.training, "doubts": doubts})
    rewrite_card(path, card)
    return card


def _pictures(comparison: Comparison, store: Store) -> tuple[dict[str, bytes], list[FramePicture]]:
    pictures, frames = dict[str, bytes](), list[FramePicture]()
    numbers: dict[str, int] = {}
    for one in comparison.frames[:MOST_PICTURES]:
        name = f"{len(frames) + 1:02d}.jpg"
        stream = io.BytesIO()
        picture = triptych(one, store.frame(one.loop_id, one.frame), comparison.task)
        # Thin coloured outlines do not bear the halved colour planes of an ordinary JPEG.
        picture.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
        pictures[name] = stream.getvalue()
        loop = numbers.setdefault(one.loop_id, len(numbers) + 1)
        frames.append(FramePicture(name, loop, one.frame, *_words(one, comparison.task)))
    return pictures, frames


def _words(one: HeldOutFrame, task: Task) -> tuple[str, str, str]:
    def told(value: Value | None, figures: ImageFigures | None) -> str:
        if value is None or figures is None:
            return "no answer"
        if isinstance(value, ClassProbabilities):
            return f"{task.label_names[value.index]} {value.probabilities[value.index]:.2f}"
        return _figure(figures)

    truth = task.label_names[one.truth.index] if isinstance(one.truth, ClassProbabilities) else ""
    return told(one.before, one.scored_before), told(one.after, one.scored_after), truth


def _figure(figures: ImageFigures) -> str:
    for name, form in (("DSC", "Dice {:.2f}"), ("IoU", "IoU {:.2f}"), ("MRE_sound", "{:.1f} px")):
        if values := figures.values.get(name):
            return form.format(sum(values) / len(values))
    return ""


def _experts(usage: Usage | None) -> Experts:
    if usage is None:
        return Experts()
    return Experts(tuple(tuple(row) for row in usage.gates), tuple(usage.own))
