"""Every fault of a data set in the FM_UIA layout, pixels included, as a list rather than a first error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from m2dino.data.image_files import load_image, mask_pixels
from m2dino.data.problems import Problem
from m2dino.data.rows import Place, Row, parse_row
from m2dino.data.tables import table_lines, tables
from m2dino.errors import DatasetError
from m2dino.progress import OnProgress, ignore_progress
from m2dino.values import Box, Keypoints


def check_root(root: Path, on_progress: OnProgress = ignore_progress) -> list[Problem]:
    """Return every problem of a root's tables, images and masks, in order of table and line; empty when it is sound.

    Looked for: what `read_root` refuses; damaged images and masks; a mask of another size than its image, or with a
    class that the task does not have; a box or point outside the image; NaN written as a point (an empty cell is a
    point that is not visible); two rows of one task for one image; rows of one task that disagree about its type or
    number of classes.

    Parameters
    ----------
    root : Path
        The folder that holds csv_files.
    on_progress : callable
        Called once a table.

    Raises
    ------
    DatasetError
        There is no table at all.
    """
    root = Path(root).resolve()
    if not (root / "csv_files").is_dir():
        raise DatasetError(f"{root}: no folder csv_files in it, so it is not a data set in the FM_UIA layout.")
    problems: list[Problem] = []
    sizes: dict[Path, tuple[int, int] | str] = {}
    first_of: dict[tuple[str, Path], Row] = {}
    known: dict[str, Row] = {}
    found = tables(root)
    for done, table in enumerate(found):
        on_progress(done, len(found), table.name)
        try:
            for line, cells in table_lines(table):
                place = Place(table, line, root)
                texts = list(_row_problems(cells, place, sizes, first_of, known))
                problems += [Problem(table, line, text) for text in texts]
        except DatasetError as error:
            problems.append(Problem(table, 0, _without_place(error, table)))
    on_progress(len(found), len(found), "")
    return problems


def _row_problems(
    cells: Mapping[str, str],
    place: Place,
    sizes: dict[Path, tuple[int, int] | str],
    first_of: dict[tuple[str, Path], Row],
    known: dict[str, Row],
) -> Iterator[str]:
    try:
        row = parse_row(cells, place)
    except DatasetError as error:
        yield _without_place(error, place.csv, place.line)
        return
    other = known.setdefault(row.task_id, row)
    if (other.type, other.num_classes) != (row.type, row.num_classes):
        yield (
            f"the task {row.task_id} is {row.type} with num_classes {row.num_classes}, but {other.type} with "
            f"{other.num_classes} in {other.csv.name}, line {other.line}."
        )
    first = first_of.setdefault((row.task_id, row.image), row)
    if first is not row:
        yield f"{row.image_path} already has a row of the task {row.task_id}: {first.csv.name}, line {first.line}."
    size = _size(row.image, sizes)
    if isinstance(size, str):
        yield size
        return
    yield from _label_problems(row, cells, size)


def _label_problems(row: Row, cells: Mapping[str, str], size: tuple[int, int]) -> Iterator[str]:
    height, width = size
    if row.mask is not None:
        yield from _mask_problems(row, size)
    elif isinstance(row.label, Box):
        box = row.label
        if box.y_min < 0 or box.x_min < 0 or box.y_max > height or box.x_max > width:
            yield f"the box leaves the image, which is {width} wide and {height} high."
        if box.y_max == box.y_min or box.x_max == box.x_min:
            yield "the box is empty."
    elif isinstance(row.label, Keypoints):
        for index, (y, x) in enumerate(row.label.points, start=1):
            if np.isnan(y):
                if cells.get(f"point_{index}_xy", "").strip():
                    yield f"point_{index}_xy is NaN; leave the cell empty where the point is not visible."
            elif not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
                yield f"point_{index}_xy lies outside the image, which is {width} wide and {height} high."


def _mask_problems(row: Row, size: tuple[int, int]) -> Iterator[str]:
    assert row.mask is not None
    try:
        labels = mask_pixels(row.mask)
    except DatasetError as error:
        yield str(error)
        return
    if labels.shape != size:
        yield (
            f"the mask {row.mask_path} is {labels.shape[1]} wide and {labels.shape[0]} high, its image {size[1]} wide "
            f"and {size[0]} high."
        )
    if (highest := int(labels.max(initial=0))) >= row.num_classes:
        yield f"the mask {row.mask_path} holds the value {highest}, but num_classes is {row.num_classes}."


def _size(image: Path, sizes: dict[Path, tuple[int, int] | str]) -> tuple[int, int] | str:
    """Return (height, width) of an image that decodes, or what is wrong with it."""
    if image not in sizes:
        try:
            sizes[image] = load_image(image).shape[:2]
        except DatasetError as error:
            sizes[image] = str(error)
    return sizes[image]


def _without_place(error: DatasetError, table: Path, line: int = 0) -> str:
    text = str(error)
    for prefix in (f"{table}, line {line}: ", f"{table}: "):
        text = text.removeprefix(prefix)
    return text
