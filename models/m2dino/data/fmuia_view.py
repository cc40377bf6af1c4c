"""The FM_UIA view of a store: tables and files that the challenge's own code reads, derived from the records.

Everything here is made from the database and can be thrown away. The database remembers each record's line and the
size of each table, so that a new line is appended at a cost that does not grow, while a table that is not what we
wrote (a crash in the middle, a hand edit) is seen by its size and written anew.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from m2dino.data.durable import append_synced, clear_parts, place_copy, place_link, write_whole
from m2dino.data.rows import BOX_COLUMNS
from m2dino.data.value_files import value_file_of
from m2dino.tasks import Task

_KINDS = {
    "segmentation": ("Seg", "Segmentation", "segmentation"),
    "classification": ("Cls", "Classification", "classification"),
    "detection": ("Det", "Detection", "detection"),
    "regression": ("Reg", "Regression", "Regression"),  # the challenge writes this one with a capital
}
_NUMBERS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
_OURS = ("loop_id", "frame", "fate", "group")
_TABLE_NAME = re.compile(r"(Seg|Cls|Det|Reg)-\w+_\d+\.[\w-]+\.csv")


def _number_word(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


@dataclass(frozen=True)
class TaskView:
    """Where one task stands in the view of a store folder, and what its lines look like."""

    folder: Path
    task: Task
    number: int

    @property
    def table(self) -> Path:
        short = _KINDS[self.task.type][0]
        name = f"{short}-{_number_word(self.task.num_classes)}_{self.number}.{self.task.id}.csv"
        return self.folder / "csv_files" / name

    @property
    def files(self) -> Path:
        """The folder that holds `images` and, for masks, `masks`."""
        return self.folder / _KINDS[self.task.type][1] / _number_word(self.task.num_classes) / self.task.id

    @property
    def header(self) -> str:
        return _csv_line(["image_path", "task_id", "task_name", "num_classes", *self._label_columns(), *_OURS])

    def line(self, name: str, value: str, loop_id: str, frame: int, fate: str, group: str) -> str:
        """Return the line of a record whose picture is the file `name` and whose stored value is the text `value`."""
        relative = f"../{self.files.relative_to(self.folder).as_posix()}"
        return _csv_line(
            [
                f"{relative}/images/{name}",
                self.task.id,
                _KINDS[self.task.type][2],
                str(self.task.num_classes),
                *self._label_cells(json.loads(value), f"{relative}/masks/{name}"),
                loop_id,
                str(frame),
                fate,
                group or loop_id,
            ]
        )

    def _label_columns(self) -> list[str]:
        if self.task.type == "segmentation":
            return ["mask_path"]
        if self.task.type == "classification":
            return ["mask"]
        if self.task.type == "detection":
            return list(BOX_COLUMNS)
        return [f"point_{i + 1}_xy" for i in range(self.task.num_classes)]

    def _label_cells(self, value: dict[str, list[float]], mask_path: str) -> list[str]:
        if self.task.type == "segmentation":
            return [mask_path]
        if self.task.type == "classification":
            probabilities = value["probabilities"]
            return [str(probabilities.index(max(probabilities)))]
        if self.task.type == "detection":
            y_min, x_min, y_max, x_max = value["box"]
            return [_number(edge) for edge in (x_min, y_min, x_max, y_max)]
        points: list[list[float] | None] = value["points"]  # type: ignore[assignment]  # JSON of encode_value
        return ["" if point is None else f"[{_number(point[1])}, {_number(point[0])}]" for point in points]


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _csv_line(cells: Iterable[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def file_name(stem: str, frame: int) -> str:
    """Return the name of a frame's picture and of its masks in the view: never a patient's, never a path."""
    return f"{stem}_{frame:06d}.png"


def is_current(connection: sqlite3.Connection, view: TaskView) -> bool:
    """Whether the view of a task shows every record, judging by the size of its table."""
    pending = connection.execute(
        "SELECT 1 FROM latest WHERE task_id = ? AND pending = 1 LIMIT 1", (view.task.id,)
    ).fetchone()
    return pending is None and _size(view.table) == _expected_size(connection, view)


def linked_masks(view: TaskView) -> int:
    """Return how many masks of the view are the very files of the values, as earlier versions of the program had it."""
    masks = _file_numbers(view.files / "masks")
    values = set(_file_numbers(view.folder / "values")) if masks else set()
    return sum(number in values for number in masks)


def update(connection: sqlite3.Connection, view: TaskView) -> None:
    """Bring the view of one task up to the records. Called with the write lock held.

    Raises
    ------
    OSError
        The disk refuses; the view stays behind and says so (`is_current`), the records are safe.
    """
    pending = _entries(connection, view, only_pending=True)
    intact = _size(view.table) == _expected_size(connection, view)
    if not intact:
        # What stands there is unknown, so every file is looked at, not only the new ones.
        pending = _entries(connection, view, only_pending=False)
    appended = [entry.new_line for entry in pending if entry.old_line is None and entry.new_line is not None]
    changed = any(entry.old_line is not None and entry.old_line != entry.new_line for entry in pending)
    for entry in pending:
        if entry.new_line is not None:
            _place_files(view, entry)
    for entry in pending:
        connection.execute(
            "UPDATE latest SET line = ?, pending = 0 WHERE position = ?", (entry.new_line, entry.position)
        )
    if intact and not changed:
        if appended:
            if not view.table.exists():
                write_whole(view.table, (view.header + "".join(appended)).encode())
            else:
                append_synced(view.table, "".join(appended).encode())
    else:
        _write_table(connection, view)
    connection.execute("UPDATE tasks SET csv_bytes = ? WHERE number = ?", (_size(view.table), view.number))
    for entry in pending:
        if entry.new_line is None:
            _remove_files(view, entry.name)


def rebuild(connection: sqlite3.Connection, folder: Path, views: list[TaskView]) -> None:
    """Write the whole view anew and remove what does not belong to it. Called with the write lock held.

    Raises
    ------
    OSError
        The disk refuses.
    """
    for table in set((folder / "csv_files").glob("*.csv")) - {view.table for view in views}:
        if _TABLE_NAME.fullmatch(table.name):
            table.unlink()
    for view in views:
        connection.execute("UPDATE tasks SET csv_bytes = -1 WHERE number = ?", (view.number,))
        connection.execute("UPDATE latest SET pending = 1 WHERE task_id = ?", (view.task.id,))
        update(connection, view)
        wanted = {entry.name for entry in _entries(connection, view, only_pending=False) if entry.new_line is not None}
        for part in ("images", "masks"):
            for file in (view.files / part).glob("*.png"):
                if file.name not in wanted:
                    file.unlink()
            clear_parts(view.files / part)
    for part in ("csv_files", "frames", "values"):
        clear_parts(folder / part)


@dataclass(frozen=True)
class _Entry:
    position: int
    name: str
    old_line: str | None
    new_line: str | None
    value_file: str | None


def _entries(connection: sqlite3.Connection, view: TaskView, *, only_pending: bool) -> list[_Entry]:
    found = connection.execute(
        "SELECT l.position, l.loop_id, l.frame, l.line, r.fate, r.value, r.interpolated, r.group_key, s.stem"
        " FROM latest l JOIN records r ON r.id = l.record JOIN loops s ON s.loop_id = l.loop_id"
        f" WHERE l.task_id = ?{' AND l.pending = 1' if only_pending else ''} ORDER BY l.position",
        (view.task.id,),
    )
    entries = []
    for position, loop_id, frame, old, fate, value, interpolated, group, stem in found:
        name = file_name(stem, frame)
        file = value_file_of(value)
        # A record whose files have gone cannot be shown; Store.check says so, and the others stay usable.
        shown = fate in ("edited", "accepted") and not interpolated and _are_there(view.folder, name, file)
        new = view.line(name, value, loop_id, frame, fate, group) if shown else None
        entries.append(_Entry(position, name, old, new, file))
    return entries


def _are_there(folder: Path, picture: str, value_file: str | None) -> bool:
    return (folder / "frames" / picture).is_file() and (
        value_file is None or (folder / "values" / value_file).is_file()
    )


def _place_files(view: TaskView, entry: _Entry) -> None:
    place_link(view.folder / "frames" / entry.name, view.files / "images" / entry.name)
    if entry.value_file:
        # Never a link: every record with this mask shares the value's file, and a mask here may be edited in place.
        place_copy(view.folder / "values" / entry.value_file, view.files / "masks" / entry.name)


def _file_numbers(folder: Path) -> list[int]:
    """Return the numbers under which the file system knows the files of a folder: those of links are the same."""
    try:
        with os.scandir(folder) as entries:
            return [entry.inode() for entry in entries]
    except FileNotFoundError:
        return []


def _remove_files(view: TaskView, name: str) -> None:
    for part in ("images", "masks"):
        (view.files / part / name).unlink(missing_ok=True)


def _write_table(connection: sqlite3.Connection, view: TaskView) -> None:
    lines = connection.execute(
        "SELECT line FROM latest WHERE task_id = ? AND line IS NOT NULL ORDER BY position", (view.task.id,)
    ).fetchall()
    if lines:
        write_whole(view.table, (view.header + "".join(line for (line,) in lines)).encode())
    else:
        # A table without rows would be refused by the challenge's loaders.
        view.table.unlink(missing_ok=True)


def _size(table: Path) -> int:
    """Return the size of a table in bytes, 0 where there is none."""
    try:
        return table.stat().st_size
    except FileNotFoundError:
        return 0


def _expected_size(connection: sqlite3.Connection, view: TaskView) -> int:
    row = connection.execute("SELECT csv_bytes FROM tasks WHERE number = ?", (view.number,)).fetchone()
    return int(row[0])
