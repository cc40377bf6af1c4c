"""What a fine-tune refuses to start from, in words; importing this needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from m2dino.data.store_reader import TrainingRow
from m2dino.errors import (
    MissingPicturesError,
    NothingToReplayError,
    OneClassError,
    OtherTaskError,
    TooLittleDataError,
    UsageError,
)
from m2dino.network.card import ModelCard
from m2dino.tasks import Task
from m2dino.training.finetune_settings import Form
from m2dino.values import ClassProbabilities, Keypoints, Mask, Value

MIN_FRAMES = 4


def refuse_too_few(task_id: str, rows: Sequence[TrainingRow], known: bool) -> None:
    """Refuse fewer frames than can be divided.

    Parameters
    ----------
    task_id : str
    rows : sequence of TrainingRow
    known : bool
        Whether the store knows the task.

    Raises
    ------
    TooLittleDataError
    """
    if not known or len(rows) < MIN_FRAMES:
        raise TooLittleDataError(
            f"{task_id}: {len(rows)} corrected or accepted frames; at least {MIN_FRAMES} are needed. "
            "Accept or correct some more."
        )


def refuse_one_side(task_id: str, frames: int, held: int) -> None:
    """Refuse a division that leaves nothing to learn from, or nothing to measure by.

    Raises
    ------
    TooLittleDataError
    """
    if held == frames:
        raise TooLittleDataError(f"{task_id}: all {frames} frames are held out; correct frames of another loop.")
    if not held:
        raise TooLittleDataError(
            f"{task_id}: none of the {frames} frames is held out any more, and those that trained a model cannot vouch "
            "for one; correct frames of another loop."
        )


def refuse_held_for_others(task_id: str, frames: int, left: int) -> None:
    """Refuse the shared form where other tasks hold out all that there is to learn from.

    Raises
    ------
    TooLittleDataError
    """
    if not left:
        raise TooLittleDataError(
            f"{task_id}: all {frames} frames to learn from are held out for other tasks, and what tasks share must not "
            "learn from those; correct frames of another loop, or train this task alone (isolated)."
        )


def refuse_missing_pictures(folder: Path, missing: Mapping[str, list[int]]) -> None:
    """Refuse frames whose pictures have gone from the store.

    Raises
    ------
    MissingPicturesError
    """
    if not missing:
        return
    frames, loops = sum(map(len, missing.values())), len(missing)
    which = f"{frames} labelled frame{'' if frames == 1 else 's'} of {loops} loop{'' if loops == 1 else 's'}"
    raise MissingPicturesError(
        f"{folder}: the pictures of {which} have gone from this dataset folder. Say where the loops are now (--loops "
        "FOLDER, searched with all below it): they are known by their content, whatever they are called.",
        dict(missing),
    )


def refuse_nothing_to_learn(task: Task, rows: Iterable[TrainingRow], value_of: Callable[[TrainingRow], Value]) -> None:
    """Refuse training labels that all say the same nothing; of masks no more are read than needed.

    Parameters
    ----------
    task : Task
    rows : iterable of TrainingRow
        Those that train.
    value_of : callable

    Raises
    ------
    TooLittleDataError
        All masks are empty, or no point is visible.
    OneClassError
        A classification with one class only.
    StoreError
        A mask's file has gone or is damaged.
    """
    classes: set[int] = set()
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 (told when nothing was found)
        value = value_of(row)
        if isinstance(value, ClassProbabilities):
            classes.add(value.index)
            if len(classes) > 1:
                return
        elif _says_something(value):
            return
    if task.type == "classification":
        name = task.labels[next(iter(classes))].name
        raise OneClassError(
            f"{task.id}: all {count} frames to learn from are of the class {name}, so a model would learn to say "
            f"nothing else; review frames of another class, too."
        )
    what = "masks to learn from are empty" if task.type == "segmentation" else "frames to learn from show no point"
    raise TooLittleDataError(f"{task.id}: all {count} {what}; draw the structure on some frames.")


def _says_something(value: Value) -> bool:
    if isinstance(value, Mask):
        return bool(value.labels.any())
    if isinstance(value, Keypoints):
        return not bool(np.isnan(value.points).all())
    return True


def refuse_other_task(base: Path, card: ModelCard, task: Task) -> None:
    """Refuse a checkpoint that knows the task as something else.

    Raises
    ------
    OtherTaskError
    """
    if task.id not in card.tasks:
        return
    mine = card.tasks[task.id].task
    if not mine.agrees_with(task):
        raise OtherTaskError(
            f"{base}: it knows {task.id} as {mine.type} with {mine.num_classes} labels, the corrections are "
            f"{task.type} with {task.num_classes}; rename one of the two tasks."
        )


def refuse_replay_alone(form: Form, folders: Sequence[Path]) -> None:
    """Refuse data to replay in the form that replays nothing, rather than pass over what a person gave.

    Raises
    ------
    UsageError
    """
    if form == "isolated" and folders:
        raise UsageError(
            f"{folders[0]}: the isolated form replays nothing, for only the one task learns; leave --replay out, or "
            "let what tasks share learn, too (--form shared)."
        )


def refuse_no_replay(card: ModelCard, task_id: str, there_is: bool) -> None:
    """Refuse the shared form where the base knows other tasks and there is no data of them.

    Raises
    ------
    NothingToReplayError
    """
    if not there_is and any(name != task_id for name in card.tasks):
        raise NothingToReplayError(
            "The shared form also changes what other tasks use: correct frames of them, too, or give labelled data of "
            "them to replay with --replay, or use the isolated form, which cannot change them."
        )
