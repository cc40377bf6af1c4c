"""Every fault of data in the FM_UIA layout, pixels included, as a list rather than a first error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.loop import Frame
from m2dino.data.own_tasks import tasks_of
from m2dino.data.problems import Problem
from m2dino.data.row_check import RowChecker
from m2dino.data.rows import Place, Row, label_columns, parse_row, row_faults
from m2dino.data.same_bytes import same_bytes
from m2dino.data.split_check import repeated_pictures, split_problems, thumbnail
from m2dino.data.tables import table_lines, tables
from m2dino.errors import DatasetError, M2DinoError
from m2dino.progress import OnProgress, ignore_progress
from m2dino.tasks import load_tasks
from m2dino.values import Keypoints, TaskType


def check_root(root: Path, on_progress: OnProgress = ignore_progress, *, same_pictures: bool = True) -> list[Problem]:
    """Return every problem of one root; see `check_roots`."""
    return check_roots([root], on_progress, same_pictures=same_pictures)


def check_roots(
    roots: Sequence[Path], on_progress: OnProgress = ignore_progress, *, same_pictures: bool = True
) -> list[Problem]:
    """Return every problem of the tables, images and masks of some roots; empty when they are sound.

    Looked for: what `read_root` refuses, every fault of a row; columns that a table's rows need; what
    `RowChecker.problems` finds; NaN written as a point (an empty cell is a point that is not visible); files of the
    same bytes with rows of one task; rows of one task that disagree about its type or number of classes, with each
    other or with the task as it is known, and ids that cannot be a task's; and between several roots, which are taken
    for splits, what `split_problems` finds.

    Parameters
    ----------
    roots : sequence of Path
        Folders that hold csv_files.
    on_progress : callable
        Called once a table.
    same_pictures : bool
        Whether files of the same bytes are told. In stills they are mistakes; frames of a loop at rest are the same.

    Returns
    -------
    list of Problem
        In order of root, table and line.

    Raises
    ------
    DatasetError
        There is no table at all.
    """
    checked = [_Check(root) for root in roots]
    total = sum(len(each.tables) for each in checked)
    done = 0
    known: dict[str, Row] = {}
    for each in checked:
        for table in each.tables:
            on_progress(done, total, table.name)
            each.look_at(table, known)
            done += 1
    on_progress(total, total, "")
    problems = [problem for each in checked for problem in each.problems]
    for each in checked if same_pictures else ():
        problems += repeated_pictures(each.rows, same_bytes(row.image for row in each.rows))
    if len(checked) > 1:
        pictures = {image: vector for each in checked for image, vector in each.checker.thumbnails.items()}
        problems += split_problems([each.rows for each in checked], pictures)
    order = {table: index for index, table in enumerate(table for each in checked for table in each.tables)}
    return sorted(problems, key=lambda problem: (order[problem.file], problem.line))


class _Check:
    """The check of one root, table by table."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).resolve()
        if not (self.root / "csv_files").is_dir():
            raise DatasetError(f"{self.root}: no folder csv_files in it, so it is not a data set in the FM_UIA layout.")
        self.tables = tables(self.root)
        self.checker = _Thumbnails()
        self.registry = load_tasks()
        self.rows: list[Row] = []
        self.problems: list[Problem] = []

    def look_at(self, table: Path, known: dict[str, Row]) -> None:
        """Check a table; `known` holds a row of every task seen so far."""
        wanting: set[str] = set()

        def on_fault(line: int, text: str) -> None:
            self.problems.append(Problem(table, line, text))

        try:
            for line, cells in table_lines(table, on_fault):
                place = Place(table, line, self.root)
                missing = [column for column in _missing_columns(cells) if column not in wanting]
                if missing:
                    self.problems.append(_of_missing(table, missing, cells))
                    wanting.update(missing)
                faults = [_without_place(error, table, line) for error in row_faults(cells, place)]
                if faults:
                    # What a missing column leaves empty has been told once.
                    self.problems += [Problem(table, line, text) for text in faults if not _speaks_of(text, wanting)]
                    continue
                self._look_at_row(parse_row(cells, place), cells, known)
        except DatasetError as error:
            self.problems.append(Problem(table, 0, _without_place(error, table)))

    def _look_at_row(self, row: Row, cells: Mapping[str, str], known: dict[str, Row]) -> None:
        self.rows.append(row)
        if row.task_id not in known:
            try:
                tasks_of([row], self.registry)
            except M2DinoError as error:
                self.problems.append(Problem(row.csv, row.line, _without_place(error, row.csv, row.line)))
        other = known.setdefault(row.task_id, row)
        if (other.type, other.num_classes) != (row.type, row.num_classes):
            text = (
                f"the task {row.task_id} is {row.type} with num_classes {row.num_classes}, but {other.type} with "
                f"{other.num_classes} in {other.csv.name}, line {other.line}."
            )
            self.problems.append(Problem(row.csv, row.line, text))
        self.problems += self.checker.problems(row)
        self.problems += [Problem(row.csv, row.line, text, "warning") for text in _nan_points(row, cells)]


class _Thumbnails(RowChecker):
    """Keeps a signature of every image while it is decoded."""

    def __init__(self) -> None:
        super().__init__()
        self.thumbnails: dict[Path, NDArray[np.float32]] = {}

    def on_image(self, image: Path, frame: Frame) -> None:
        self.thumbnails[image] = thumbnail(frame)


def _missing_columns(cells: Mapping[str, str]) -> list[str]:
    kind, count = cells["task_name"].strip().lower(), cells["num_classes"].strip()
    if kind not in get_args(TaskType):
        return []
    points = int(count) if count.isdecimal() and int(count) <= 255 else 0
    return [column for column in label_columns(cast("TaskType", kind), points) if column not in cells]


def _of_missing(table: Path, missing: list[str], cells: Mapping[str, str]) -> Problem:
    text = f"the table has no column {', '.join(missing)}, which its {cells['task_name']} rows need"
    if "point_1_xy" in cells:
        return Problem(table, 1, f"{text}; training takes these points as not visible.", "warning")
    return Problem(table, 1, f"{text}.")


def _speaks_of(text: str, columns: set[str]) -> bool:
    return any(re.search(rf"\b{re.escape(column)}\b", text) for column in columns)


def _nan_points(row: Row, cells: Mapping[str, str]) -> Iterator[str]:
    if isinstance(row.label, Keypoints):
        for index in np.flatnonzero(np.isnan(row.label.points[:, 0])):
            if cells.get(f"point_{index + 1}_xy", "").strip():
                yield f"point_{index + 1}_xy is NaN; leave the cell empty where the point is not visible."


def _without_place(error: M2DinoError, table: Path, line: int = 0) -> str:
    text = str(error)
    for prefix in (f"{table}, line {line}: ", f"{table}: "):
        text = text.removeprefix(prefix)
    return text
