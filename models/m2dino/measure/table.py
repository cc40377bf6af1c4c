"""Measurements as a table: one line each, with the time of the frame where the loop tells it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from m2dino.cine.loop import CineLoop
from m2dino.data.durable import write_whole
from m2dino.errors import UsageError
from m2dino.measure.result import Measurement

COLUMNS = ("loop", "task_id", "frame", "time_ms", "measurement", "value", "unit", "inputs", "reason", "remark")


def rows(measured: Iterable[Measurement], task_id: str, loop: CineLoop) -> list[dict[str, str]]:
    """Return one row a measurement, all cells text; a loop is named by its identity, never by its file."""
    times = loop.frame_times_s
    return [
        {
            "loop": loop.identity,
            "task_id": task_id,
            "frame": "" if one.frame is None else str(one.frame),
            "time_ms": "" if times is None or one.frame is None else f"{1000 * times[one.frame]:.1f}",
            "measurement": one.name,
            "value": "" if one.value is None else f"{one.value:.6g}",
            "unit": one.unit,
            "inputs": one.inputs,
            "reason": one.reason,
            "remark": one.remark,
        }
        for one in measured
    ]


def write_table(path: Path, lines: Iterable[dict[str, str]]) -> None:
    """Write rows as CSV in UTF-8, whole or not at all.

    Raises
    ------
    UsageError
        The file cannot be written; one that was there before is untouched.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    try:
        write_whole(path, text.getvalue().encode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another place for the table.") from error
