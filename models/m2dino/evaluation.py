"""How well a model, or a folder of predictions, does on labelled rows, in original pixels."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from m2dino.cine.loop import Frame
from m2dino.data.fmuia import Row, load_image
from m2dino.data.fmuia_output import OutputReader
from m2dino.data.row_values import label_value
from m2dino.errors import DatasetError
from m2dino.metrics import Metric, judged
from m2dino.predictor import Model
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.scoring.cases import Case, Predicted, named_class
from m2dino.scoring.image_figures import ImageFigures, image_figures
from m2dino.scoring.task_scores import TaskScores, summarise
from m2dino.tasks import Task
from m2dino.values import ClassProbabilities, Value

Fetch = Callable[[], Predicted | None]
Source = Callable[[Sequence[Row], Task], Iterator[Fetch]]
"""Gives, for rows of one task in their order, what fetches the prediction of each; a fetch may run in any thread."""


def predict_rows(
    model: Model,
    rows: Sequence[Row],
    task: Task,
    *,
    batch_size: int = 8,
    should_stop: ShouldStop = never_stop,
    on_unreadable: Callable[[Row, DatasetError], None] | None = None,
) -> Iterator[tuple[Row, Value]]:
    """Yield (row, predicted value) for rows of one task, in order; stops early when told to.

    Parameters
    ----------
    model : Model
    rows : sequence of Row
    task : Task
    batch_size : int
    should_stop : callable
    on_unreadable : callable, optional
        Called with a row whose image cannot be read, and why; the row is left out.

    Raises
    ------
    DatasetError, MissingFileError
        An image cannot be read, and there is no `on_unreadable`.
    """
    with ThreadPoolExecutor(1, "m2dino-decode") as decoder:
        remaining = iter(rows)
        group = list(islice(remaining, batch_size))
        images = decoder.submit(_load, group)
        while group:
            loaded = images.result()
            following = list(islice(remaining, batch_size))
            images = decoder.submit(_load, following)
            if should_stop():
                return
            read: list[Row] = []
            frames: list[Frame] = []
            for row, frame in zip(group, loaded, strict=True):
                if not isinstance(frame, DatasetError):
                    read.append(row)
                    frames.append(frame)
                elif on_unreadable is None:
                    raise frame
                else:
                    on_unreadable(row, frame)
            if read:
                for row, reading in zip(read, model.predict_frames(frames, task), strict=True):
                    yield row, reading.value
            group = following


def _load(rows: Sequence[Row]) -> list[Frame | DatasetError]:
    return [_frame_or_why_not(row.image) for row in rows]


def _frame_or_why_not(image: Path) -> Frame | DatasetError:
    try:
        return load_image(image)
    except DatasetError as error:
        return error


def model_source(model: Model, should_stop: ShouldStop = never_stop) -> Source:
    """Return predictions made by a model as they are asked for."""

    def fetches(rows: Sequence[Row], task: Task) -> Iterator[Fetch]:
        for _, value in predict_rows(model, rows, task, should_stop=should_stop):
            told = named_class(value) if isinstance(value, ClassProbabilities) else value
            yield partial(_same, told)

    return fetches


def _same(predicted: Predicted) -> Predicted:
    return predicted


def folder_source(reader: OutputReader) -> Source:
    """Return predictions read from the official output files."""

    def fetches(rows: Sequence[Row], task: Task) -> Iterator[Fetch]:
        for row in rows:
            yield partial(reader.value, row)

    return fetches


def score_rows(
    source: Source,
    rows: Sequence[Row],
    tasks: Mapping[str, Task],
    *,
    scales: Mapping[Path, float] | None = None,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> dict[str, TaskScores]:
    """Score predictions of labelled rows: all figures, official and clinical.

    Labels are read, and masks compared, by threads beside the one that predicts.

    Parameters
    ----------
    source : Source
        `model_source` or `folder_source`.
    rows : sequence of Row
        Of any tasks.
    tasks : mapping of str to Task
    scales : mapping of Path to float, optional
        Pixel size in mm by image; as from `pixel_sizes` of `rows` where not given.
    on_progress, should_stop : callables
        Stopped, it returns the tasks that were finished.

    Returns
    -------
    dict of str to TaskScores

    Raises
    ------
    DatasetError, MissingFileError
        A label or a prediction is damaged.
    """
    sizes = pixel_sizes(rows) if scales is None else scales
    threads = min(4, os.cpu_count() or 1)
    scores: dict[str, TaskScores] = {}
    done = 0
    with ThreadPoolExecutor(threads, "m2dino-score") as pool:
        for task_id in dict.fromkeys(row.task_id for row in rows):
            own, task = [row for row in rows if row.task_id == task_id], tasks[task_id]
            images: list[ImageFigures] = []
            waiting: deque[Future[ImageFigures]] = deque()
            try:
                for row, fetch in zip(own, source(own, task), strict=False):  # a source that is stopped is shorter
                    if should_stop():
                        return scores
                    waiting.append(pool.submit(_score, task, row, fetch, sizes.get(row.image)))
                    if len(waiting) > 4 * threads:
                        images.append(waiting.popleft().result())
                    done += 1
                    on_progress(done, len(rows), f"evaluating {task_id}: {done} / {len(rows)}")
                images += [future.result() for future in waiting]
            finally:
                for future in waiting:
                    future.cancel()
            if len(images) < len(own):
                break
            scores[task_id] = summarise(task, images)
    return scores


def _score(task: Task, row: Row, fetch: Fetch, pixel_mm: float | None) -> ImageFigures:
    return image_figures(task, Case(fetch(), label_value(row), row.whose, pixel_mm))


def pixel_sizes(rows: Sequence[Row]) -> dict[Path, float]:
    """Return the pixel size in mm of every image that some row, of any task, gives one for.

    None of an image that rows disagree about: millimetres exist only where they are certain.
    """
    told: dict[Path, set[float]] = {}
    for row in rows:
        if row.pixel_mm is not None:
            told.setdefault(row.image, set()).add(row.pixel_mm)
    return {image: sizes.pop() for image, sizes in told.items() if len(sizes) == 1}


def evaluate_rows(
    model: Model,
    rows: Sequence[Row],
    tasks: Mapping[str, Task],
    *,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> dict[str, dict[str, Metric]]:
    """Score a model on labelled rows of any of its tasks, as training and the model card do.

    Returns
    -------
    dict
        {task id: {metric name: Metric}}, official names, with 95 % bootstrap intervals by subject; see
        `m2dino.metrics.score_task`.

    Raises
    ------
    UntrainedTaskError
        A row's task is not one that the model was trained on.
    """
    for task_id in dict.fromkeys(row.task_id for row in rows):
        model.task(task_id)
    source = model_source(model, should_stop)
    scores = score_rows(source, rows, tasks, on_progress=on_progress, should_stop=should_stop)
    return {task_id: judged(each) for task_id, each in scores.items()}
