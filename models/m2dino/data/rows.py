"""One row of an FM_UIA table: an image, a task, and the label that the task's type asks for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar, cast, get_args

import numpy as np

from m2dino.data.grouping import subject_of
from m2dino.errors import DatasetError, MissingFileError, PathEscapesRootError
from m2dino.values import Box, Keypoints, TaskType

COMMON_COLUMNS = ("image_path", "task_id", "task_name", "num_classes")
BOX_COLUMNS = ("x_min", "y_min", "x_max", "y_max")
GROUP_COLUMNS = ("group", "subject_id")
T = TypeVar("T")
_ABSENT = {"", "nan", "none", "null"}


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    task_id : str
    type : str
        segmentation, classification, detection or regression.
    num_classes : int
        Classes incl. background (segmentation), classes, box kinds (1), or points.
    image : Path
        Absolute, inside the root.
    image_path : str
        The cell as written: the key under which the challenge matches predictions.
    mask : Path or None
        Absolute; None for other types, and where labels were not asked for and there is none.
    mask_path : str or None
        The cell as written.
    label : int, Box, Keypoints or None
        Class index, box or points, in original pixels, (y, x) order; None for segmentation, and where labels were not
        asked for and there is none. A point that is not visible is a row of NaN.
    csv : Path
    line : int
        Line of `csv`, from 1, the header being line 1.
    pixel_mm : float or None
        Size of a pixel in mm, where a column of that name gives it.
    root : Path
        The folder that holds `csv_files`, absolute.
    subject : str or None
        The cell of a column `group` or `subject_id`, where there is one.
    """

    task_id: str
    type: TaskType
    num_classes: int
    image: Path
    image_path: str
    mask: Path | None
    mask_path: str | None
    label: int | Box | Keypoints | None = field(hash=False)
    csv: Path
    line: int
    pixel_mm: float | None
    root: Path
    subject: str | None = None

    @property
    def group(self) -> str:
        """Subject or recording: the user's own column, else what the file name tells (`grouping`), else the image."""
        return self.subject or subject_of(self.image) or f"image:{self.image.relative_to(self.root).as_posix()}"

    @property
    def known_by_path(self) -> bool:
        """Whether nothing tells its subject, so that its group is its own path."""
        return not self.subject and not subject_of(self.image)

    @property
    def whose(self) -> tuple[str, str]:
        """`group`, told apart where two roots have the same path of an image that nothing tells the subject of."""
        return self.group, str(self.root) if self.known_by_path else ""


@dataclass(frozen=True)
class Place:
    """Where a row stands, for messages and for paths relative to it; `root` is resolved."""

    csv: Path
    line: int
    root: Path

    def fault(self, text: str, error: type[DatasetError] = DatasetError) -> NoReturn:
        """Raise `error` saying where and what."""
        raise error(f"{self.csv}, line {self.line}: {text}")

    def file(self, cell: str, column: str, *, must_exist: bool = True) -> Path:
        """Return the absolute path that a cell names.

        Raises
        ------
        PathEscapesRootError
            It leaves the root.
        MissingFileError
            No such file.
        """
        try:
            path = (self.csv.parent / cell.replace("\\", "/")).resolve()
            inside = path.is_relative_to(self.root)
            there = path.is_file() if inside and must_exist else True
        except (OSError, ValueError, RuntimeError):
            self.fault(f"{column} {cell!r} is not a usable path; correct it.", MissingFileError)
        if not inside:
            self.fault(f"{column} {cell!r} leads out of the data folder {self.root}.", PathEscapesRootError)
        if not there:
            self.fault(f"{column} names {cell!r}, which does not exist at {path}.", MissingFileError)
        return path


def parse_row(cells: Mapping[str, str], place: Place, *, labels: bool = True) -> Row:
    """Build a row from the cells of one line.

    Parameters
    ----------
    cells : mapping of str to str
        Cell by column name; cells of other types' columns may be empty.
    place : Place
    labels : bool
        Whether the label and the files must be there. False for data to predict on, whose labels may be hidden: a label
        that cannot be read is none, and a missing image is told when it is opened.

    Raises
    ------
    DatasetError, MissingFileError, PathEscapesRootError
        The first fault of the row; the message names the table and the line.
    """
    for column in COMMON_COLUMNS:
        _filled(cells, column, place)
    task_type, count = _type(cells, place), _count(cells, place)
    image = place.file(cells["image_path"], "image_path", must_exist=labels)

    mask: Path | None = None
    mask_path: str | None = None
    label: int | Box | Keypoints | None = None
    if task_type == "segmentation":
        mask, mask_path = _mask(cells, place, labels=labels)
    elif labels:
        label = _label(cells, task_type, count, place)
    else:
        label = _if_sound(lambda: _label(cells, task_type, count, place))
    size = partial(_pixel_mm, cells.get("pixel_mm", ""), place)
    return Row(
        task_id=cells["task_id"].strip(),
        type=task_type,
        num_classes=count,
        image=image,
        image_path=cells["image_path"],
        mask=mask,
        mask_path=mask_path,
        label=label,
        csv=place.csv,
        line=place.line,
        pixel_mm=size() if labels else _if_sound(size),
        root=place.root,
        subject=next((cells[c].strip() for c in GROUP_COLUMNS if not _absent(cells.get(c, ""))), None),
    )


def row_faults(cells: Mapping[str, str], place: Place) -> list[DatasetError]:
    """Return every fault of a row, where `parse_row` raises the first; none where it raises none."""
    found: dict[str, DatasetError] = {}

    def attempt(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except DatasetError as error:
            found.setdefault(str(error), error)
            return None

    if attempt(lambda: parse_row(cells, place)) is not None:
        return []
    given = [column for column in COMMON_COLUMNS if attempt(partial(_filled, cells, column, place))]
    kind = attempt(lambda: _type(cells, place)) if "task_name" in given else None
    count = attempt(lambda: _count(cells, place)) if "num_classes" in given else None
    if "image_path" in given:
        attempt(lambda: place.file(cells["image_path"], "image_path"))
    if kind == "segmentation":
        attempt(lambda: _mask(cells, place, labels=True))
    elif kind is not None and count is not None:
        attempt(lambda: _label(cells, kind, count, place))
    attempt(lambda: _pixel_mm(cells.get("pixel_mm", ""), place))
    return list(found.values())


def label_columns(kind: TaskType, count: int) -> tuple[str, ...]:
    """Return the columns that hold the label of a row of a type, for `count` classes or points."""
    columns = {"segmentation": ("mask_path",), "classification": ("mask",), "detection": BOX_COLUMNS}.get(kind)
    return columns or tuple(f"point_{i + 1}_xy" for i in range(count))


def _filled(cells: Mapping[str, str], column: str, place: Place) -> str:
    cell = cells.get(column, "").strip()
    if not cell:
        place.fault(f"the column {column} is missing or empty.")
    return cell


def _type(cells: Mapping[str, str], place: Place) -> TaskType:
    kind = cells["task_name"].strip().lower()
    if kind not in get_args(TaskType):
        place.fault(f"task_name {cells['task_name']!r} is not one of {', '.join(get_args(TaskType))}.")
    return cast("TaskType", kind)


def _count(cells: Mapping[str, str], place: Place) -> int:
    count = _whole(cells["num_classes"], "num_classes", place)
    if not 1 <= count <= 255:
        place.fault(f"num_classes {count} is not between 1 and 255.")
    return count


def _mask(cells: Mapping[str, str], place: Place, *, labels: bool) -> tuple[Path | None, str | None]:
    """Return the mask's file, if there is one, and its cell."""
    cell = cells.get("mask_path", "").strip()
    if _absent(cell):
        if labels:
            place.fault("a segmentation row needs a mask_path.")
        return None, None
    file = place.file(cell, "mask_path", must_exist=labels)
    return (file if file.is_file() else None), cell


def _absent(cell: str) -> bool:
    return cell.strip().lower() in _ABSENT


def _if_sound(read: Callable[[], T]) -> T | None:
    """Return what is read, or None where it is not sound."""
    try:
        return read()
    except DatasetError:
        return None


def _label(cells: Mapping[str, str], kind: TaskType, count: int, place: Place) -> int | Box | Keypoints:
    if kind == "classification":
        if _absent(cells.get("mask", "")):
            place.fault("a classification row needs its class in the column mask.")
        index = _whole(cells["mask"], "mask", place)
        if not 0 <= index < count:
            place.fault(f"the class in the column mask is {index}, but num_classes {count} allows 0 to {count - 1}.")
        return index
    if kind == "detection":
        x_min, y_min, x_max, y_max = (_number(cells.get(column, ""), column, place) for column in BOX_COLUMNS)
        if x_max < x_min or y_max < y_min:
            place.fault(f"the box is inside out: x {x_min:g} to {x_max:g}, y {y_min:g} to {y_max:g}.")
        return Box(y_min, x_min, y_max, x_max)
    names = label_columns(kind, count)
    if not any(name in cells for name in names):
        place.fault(f"a regression row of {count} points needs the columns point_1_xy to point_{count}_xy.")
    beyond = f"point_{count + 1}_xy"
    if not _absent(cells.get(beyond, "")):
        place.fault(f"{beyond} is filled, but num_classes says {count} points.")
    return Keypoints(np.array([_point(cells.get(name, ""), name, place) for name in names]))


def _point(cell: str, column: str, place: Place) -> tuple[float, float]:
    """Return (y, x); NaN where the cell is empty or holds NaN, which means "not visible"."""
    if _absent(cell):
        return (math.nan, math.nan)
    try:
        pair = json.loads(cell.replace("nan", "NaN"))
        x, y = (math.nan if number is None else float(number) for number in pair)
    except (ValueError, TypeError, OverflowError):
        place.fault(f'{column} {cell!r} is not a point written as "[x, y]".')
    if math.isinf(x) or math.isinf(y):
        place.fault(f"{column} {cell!r} is infinite.")
    return (y, x)


def _number(cell: str, column: str, place: Place) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        place.fault(f"{column} {cell!r} is not a number." if cell.strip() else f"the column {column} is empty.")
    return number


def _whole(cell: str, column: str, place: Place) -> int:
    number = _number(cell, column, place)  # tables joined by other programs hold "2.0" for 2
    if not number.is_integer():
        place.fault(f"{column} {cell!r} is not a whole number.")
    return int(number)


def _pixel_mm(cell: str, place: Place) -> float | None:
    if _absent(cell):
        return None
    number = _number(cell, "pixel_mm", place)
    if not 0 < number < 100:
        place.fault(f"pixel_mm {cell!r} is not a plausible pixel size.")
    return number
