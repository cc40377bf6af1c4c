"""Reading a data set in the layout of the FM_UIA challenge.

A root holds `csv_files/` and, beside it, the folders that the tables' paths lead to. Every table in `csv_files` is
read, whatever its name and order of columns, in UTF-8 with or without a byte-order mark, with commas or semicolons.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from m2dino.data.fmuia_check import check_root, check_roots
from m2dino.data.image_files import image_size, load_image, load_mask
from m2dino.data.own_tasks import tasks_of
from m2dino.data.rows import Place, Row, parse_row
from m2dino.data.tables import find_roots, table_lines, tables
from m2dino.errors import MissingFileError

__all__ = [
    "Row",
    "check_root",
    "check_roots",
    "find_roots",
    "image_size",
    "load_image",
    "load_mask",
    "read_root",
    "tasks_of",
]


def read_root(root: Path, tasks: Collection[str] | None = None, *, labels: bool = True) -> list[Row]:
    """Return the rows of every table of a root, in order of table name and line.

    Images and masks are checked to exist, not decoded, where labels are asked for.

    Parameters
    ----------
    root : Path
        The folder that holds csv_files (see `find_roots`).
    tasks : collection of str, optional
        Ids of the tasks to keep; the rows of others are not looked at. All by default.
    labels : bool
        Whether every row must be labelled. False reads data to predict on: of hidden or faulty labels the row has none,
        and whether an image exists is told when it is opened.

    Raises
    ------
    DatasetError, MissingFileError, PathEscapesRootError
        The first fault; the message names the table and the line.
    """
    root = Path(root).absolute()
    if not (root / "csv_files").is_dir():
        raise MissingFileError(f"{root}: no folder csv_files in it, so it is not a data set in the FM_UIA layout.")
    resolved = root.resolve()
    rows: list[Row] = []
    for table in tables(resolved):
        for line, cells in table_lines(table):
            if tasks is None or cells["task_id"].strip() in tasks:
                rows.append(parse_row(cells, Place(table, line, resolved), labels=labels))
    return rows
