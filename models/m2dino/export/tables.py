"""CSV tables, one a task: areas, boxes, points or classes, frame by frame, in pixels and, where certain, in mm."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from m2dino.export.annotated import AnnotatedLoop, Annotation
from m2dino.export.measures import area_of, bounds_of, lengths_between, place_in_mm, sides_of
from m2dino.scoring.lengths import lengths_of
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask

Cells = Sequence[object]
_RowsOf = Callable[[Annotation, AnnotatedLoop], Iterator[Cells]]
_COMMON = ("loop_id", "frame", "time_s", "fate")
_EDGES = ("y_min", "x_min", "y_max", "x_max")
_COLUMNS = {
    "segmentation": ("label", "area_px", "area_mm2", *_EDGES, "scale"),
    "detection": ("label", *_EDGES, "height_px", "width_px", "height_mm", "width_mm", "scale"),
    "regression": ("point", "visible", "y_px", "x_px", "y_mm", "x_mm", "scale"),
    "classification": ("class", "index", "probability"),
}
_LENGTHS = ("length", "px", "mm", "scale")


def write_tables(loops: Sequence[AnnotatedLoop], folder: Path, stems: Mapping[str, str]) -> None:
    """Write `<task>.csv` and, where points make lengths, `<task>_lengths.csv`, into a folder that is there.

    Cells that are not known are empty. `stems` is not used: the loop's whole id stands in the table.
    """
    for task in {loop.task.id: loop.task for loop in loops}.values():
        own = [loop for loop in loops if loop.task.id == task.id]
        _write(folder / f"{task.id}.csv", (*_COMMON, *_COLUMNS[task.type]), own, _rows)
        if task.type == "regression" and lengths_of(task):
            _write(folder / f"{task.id}_lengths.csv", (*_COMMON, *_LENGTHS), own, _length_rows)


def _write(path: Path, header: Sequence[str], loops: Sequence[AnnotatedLoop], rows_of: _RowsOf) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for loop in loops:
            times = loop.times_s
            for item in loop:
                common = (loop.loop_id, item.frame, _number(times.get(item.frame)), item.fate)
                writer.writerows([*common, *cells] for cells in rows_of(item, loop))


def _rows(item: Annotation, loop: AnnotatedLoop) -> Iterator[Cells]:
    value, names = item.value, loop.task.label_names
    if isinstance(value, Mask):
        for index in range(1, loop.task.num_classes):
            inside = value.labels == index
            area = area_of(inside, names[index], loop.loop)
            edges: Cells = bounds_of(inside) if area.px else ("",) * 4
            yield (area.name, int(area.px), _number(area.mm), *edges, area.scale)
    elif isinstance(value, Box):
        height, width = sides_of(value, names[0], loop.loop)
        edges = [_number(edge) for edge in value.as_tuple()]
        sides = [_number(side) for side in (height.px, width.px, height.mm, width.mm)]
        yield (height.name, *edges, *sides, height.scale)
    elif isinstance(value, Keypoints):
        for name, (y, x) in zip(names, value.points.tolist(), strict=True):
            if math.isnan(y):
                yield (name, 0, "", "", "", "", "")
                continue
            place, scale = place_in_mm((y, x), loop.loop)
            yield (name, 1, _number(y), _number(x), *map(_number, place or (None, None)), scale)
    elif isinstance(value, ClassProbabilities):
        yield (names[value.index], value.index, _number(float(np.max(value.probabilities))))


def _length_rows(item: Annotation, loop: AnnotatedLoop) -> Iterator[Cells]:
    assert isinstance(item.value, Keypoints)
    for measure, _ in lengths_between(item.value, loop.task, loop.loop):
        yield (measure.name, _number(measure.px), _number(measure.mm), measure.scale)


def _number(value: float | None) -> str:
    """Return a number to a ten-thousandth, which is finer than any hand; "" where it is not known."""
    return "" if value is None or math.isnan(value) else f"{value:.4f}".rstrip("0").rstrip(".")
