"""Reading and writing the tables of a data set."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path


def read_table(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_table(table: Path, rows: Iterable[Mapping[str, object]], encoding: str = "utf-8") -> None:
    """Write rows, with the columns of the first."""
    rows = list(rows)
    with table.open("w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
