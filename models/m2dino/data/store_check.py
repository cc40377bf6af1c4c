"""Every problem of a store, from the database down to the last pixel."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from m2dino.data.fmuia_check import check_root
from m2dino.data.fmuia_view import TaskView, file_name, is_current, linked_masks
from m2dino.data.image_files import load_image, mask_pixels
from m2dino.data.problems import Problem
from m2dino.data.store_schema import DATABASE
from m2dino.data.value_files import is_mask_name, mask_name, value_file_of
from m2dino.errors import DatasetError


def check_store(connection: sqlite3.Connection, folder: Path, views: list[TaskView]) -> list[Problem]:
    """Return the problems of a store: damage in the database, pictures and values that are missing, damaged or of the
    wrong size, masks that were changed, a view that is behind the records or shares files with them, and whatever
    `check_root` finds in the view."""
    problems = [
        Problem(folder / DATABASE, 0, text) for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"
    ]
    pictures = connection.execute(
        "SELECT s.stem, f.frame, f.height, f.width FROM frames f JOIN loops s ON s.loop_id = f.loop_id ORDER BY 1, 2"
    )
    for stem, frame, height, width in pictures:
        path = folder / "frames" / file_name(stem, frame)
        try:
            if load_image(path).shape != (height, width, 3):
                problems.append(Problem(path, 0, f"the picture is not {width} wide and {height} high."))
        except DatasetError as error:
            problems.append(Problem(path, 0, str(error).removeprefix(f"{path}: ")))
    names = {
        value_file_of(text)
        for row in connection.execute("SELECT value, proposal FROM records")
        for text in row
        if text is not None
    }
    for name in sorted(name for name in names if name is not None):
        path = folder / "values" / name
        try:
            labels = mask_pixels(path)
        except DatasetError as error:
            problems.append(Problem(path, 0, str(error).removeprefix(f"{path}: ")))
            continue
        if is_mask_name(name) and mask_name(labels) != name:
            problems.append(
                Problem(
                    path,
                    0,
                    "the mask was changed after it was saved, and so was every record with it; "
                    "put back a backup of this file.",
                )
            )
    problems += [
        Problem(view.table, 0, "the FM_UIA view is behind the records; run `m2dino dataset rebuild`.")
        for view in views
        if not is_current(connection, view)
    ]
    problems += [
        Problem(
            view.files / "masks",
            0,
            f"{count} masks share their files with the records, which change with them when one is edited; "
            "run `m2dino dataset rebuild`.",
            "warning",
        )
        for view in views
        if (count := linked_masks(view))
    ]
    if any(view.table.is_file() for view in views):
        problems += check_root(folder, same_pictures=False)
    return problems
