"""How well a model does on labelled rows: the official metrics, in original pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from m2dino.cine.loop import Frame
from m2dino.data.fmuia import Row, load_image
from m2dino.data.fmuia_output import OutputReader
from m2dino.data.row_values import label_value
from m2dino.errors import DatasetError
from m2dino.metrics import Metric, score_task
from m2dino.predictor import Model
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.tasks import Task
from m2dino.values import Value


def predict_rows(
    model: Model,
    rows: Sequence[Row],
    task: Task,
    *,
    batch_size: int = 8,
    should_stop: ShouldStop = never_stop,
) -> Iterator[tuple[Row, Value]]:
    """Yield (row, predicted value) for rows of one task, in order; stops early when told to."""
    with ThreadPoolExecutor(1, "m2dino-decode") as decoder:
        remaining = iter(rows)
        group = list(islice(remaining, batch_size))
        images = decoder.submit(_load, group)
        while group:
            frames = images.result()
            following = list(islice(remaining, batch_size))
            images = decoder.submit(_load, following)
            if should_stop():
                return
            for row, reading in zip(group, model.predict_frames(frames, task), strict=True):
                yield row, reading.value
            group = following


def _load(rows: Sequence[Row]) -> list[Frame]:
    return [load_image(row.image) for row in rows]


def evaluate_rows(
    model: Model,
    rows: Sequence[Row],
    tasks: Mapping[str, Task],
    *,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> dict[str, dict[str, Metric]]:
    """Score a model on labelled rows of any of its tasks.

    Returns
    -------
    dict
        {task id: {metric name: Metric}}, official names, with 95 % bootstrap intervals by subject.

    Raises
    ------
    UntrainedTaskError
        A row's task is not one that the model was trained on.
    """
    scores: dict[str, dict[str, Metric]] = {}
    done = 0
    for task_id in dict.fromkeys(row.task_id for row in rows):
        own = [row for row in rows if row.task_id == task_id]
        predictions, truths = [], []
        for row, value in predict_rows(model, own, tasks[task_id], should_stop=should_stop):
            predictions.append(value)
            truths.append(label_value(row))
            done += 1
            on_progress(done, len(rows), f"evaluating {task_id}: {done} / {len(rows)}")
        if len(predictions) < len(own):
            break
        scores[task_id] = score_task(tasks[task_id], predictions, truths, [row.group for row in own])
    return scores


def score_outputs(folder: Path, rows: Sequence[Row], tasks: Mapping[str, Task]) -> dict[str, dict[str, Metric]]:
    """Score the official output files in a folder against labelled rows; tasks without any prediction are left out.

    Raises
    ------
    MissingFileError, DatasetError
        The folder is not there, or one of its files is damaged.
    """
    outputs = OutputReader(folder)
    scores: dict[str, dict[str, Metric]] = {}
    for task_id in dict.fromkeys(row.task_id for row in rows):
        own = [row for row in rows if row.task_id == task_id]
        values = [outputs.value(row) for row in own]
        if any(value is not None for value in values):
            missing = sum(value is None for value in values)
            if missing and own[0].type == "classification":
                raise DatasetError(f"{folder}: {missing} of {len(own)} images of {task_id} have no predicted class.")
            truths = [label_value(row) for row in own]
            scores[task_id] = score_task(tasks[task_id], values, truths, [row.group for row in own])
    return scores
