"""The FM_UIA layout, self-contained: what the view inside a store shows, for any annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from m2dino.data.fmuia_view import TaskView, file_name
from m2dino.data.value_files import encode_frame, encode_value
from m2dino.export.annotated import AnnotatedLoop


def write_fmuia(loops: Sequence[AnnotatedLoop], folder: Path, stems: Mapping[str, str]) -> None:
    """Write `csv_files/` and the folders of images and masks into a folder that is there."""
    (folder / "csv_files").mkdir()
    tasks = {loop.task.id: loop.task for loop in loops}
    for number, task in enumerate(tasks.values(), start=1):
        view = TaskView(folder, task, number)
        for part in ("images", *(["masks"] if task.type == "segmentation" else [])):
            (view.files / part).mkdir(parents=True)
        with view.table.open("w", newline="", encoding="utf-8") as table:
            table.write(view.header)
            for loop in loops:
                if loop.task.id != task.id:
                    continue
                for item in loop:
                    name = file_name(stems[loop.loop_id], item.frame)
                    value = encode_value(item.value)
                    (view.files / "images" / name).write_bytes(encode_frame(loop.picture(item.frame)))
                    if value.file is not None:
                        (view.files / "masks" / name).write_bytes(value.file[1])
                    table.write(view.line(name, value.text, loop.loop_id, item.frame, item.fate, item.group))
