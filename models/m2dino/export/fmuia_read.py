"""Labels in the FM_UIA layout as values of a task on a loop, to go on editing them."""

from __future__ import annotations

from pathlib import Path

from m2dino.cine.loop import CineLoop
from m2dino.data.row_values import label_value
from m2dino.data.rows import Place, parse_row
from m2dino.data.tables import table_lines, tables
from m2dino.errors import DatasetError, MissingFileError
from m2dino.export.frame_match import FrameMatcher
from m2dino.tasks import Task
from m2dino.values import Mask, Value


def read_fmuia(root: Path, task: Task, loop: CineLoop, first_frame: int = 0) -> dict[int, Value]:
    """Return the labels of a data set for the frames of a loop, by frame; images are matched as `frame_match` says.

    Parameters
    ----------
    root : Path
        The folder that holds csv_files.
    task : Task
    loop : CineLoop
    first_frame : int
        The number of the loop's first frame in the names of the images.

    Raises
    ------
    DatasetError, MissingFileError, PathEscapesRootError
        A table or a mask is faulty, its rows are of another type or number of classes, or none is of this loop.
    """
    root = Path(root).absolute()
    if not (root / "csv_files").is_dir():
        raise MissingFileError(f"{root}: no folder csv_files in it, so it is not a data set in the FM_UIA layout.")
    resolved = root.resolve()
    lines = [
        (Place(table, line, resolved), cells)
        for table in tables(resolved)
        for line, cells in table_lines(table)
        if cells["task_id"].strip() == task.id
    ]
    matcher = FrameMatcher(loop, root, first_frame, len(lines))
    values: dict[int, Value] = {}
    for place, cells in lines:
        frame = matcher.frame_of(cells["image_path"], cells.get("loop_id"), cells.get("frame"))
        if frame is None:
            continue
        row = parse_row(cells, place)
        if (row.type, row.num_classes) != (task.type, task.num_classes):
            place.fault(
                f"the row is a {row.type} with {row.num_classes} classes or points, the task {task.id} a {task.type} "
                f"with {task.num_classes}."
            )
        value = label_value(row)
        if isinstance(value, Mask) and value.labels.shape != (loop.height, loop.width):
            place.fault(
                f"the mask is {value.labels.shape[1]} wide and {value.labels.shape[0]} high, the loop's frames "
                f"{loop.width} wide and {loop.height} high."
            )
        values[frame] = value
    if not values:
        raise DatasetError(f"{root}: no row of the task {task.id!r} is of this loop.")
    return dict(sorted(values.items()))
