"""The tables of an FM_UIA data set: where they lie, and their lines as text."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from m2dino.data.rows import COMMON_COLUMNS
from m2dino.errors import DatasetError, MissingFileError


def find_roots(path: Path) -> list[Path]:
    """Return the roots at `path`: itself, or those of its sub-folders (train, val, then others) that hold csv_files.

    Raises
    ------
    MissingFileError
        There is no such folder.
    DatasetError
        It holds no data set.
    """
    path = Path(path)
    if not path.is_dir():
        raise MissingFileError(f"{path}: no such folder.")
    if path.name == "csv_files":
        return [path.parent]
    if (path / "csv_files").is_dir():
        return [path]
    order = {"train": 0, "val": 1}
    roots = [child for child in path.iterdir() if (child / "csv_files").is_dir()]
    if not roots:
        raise DatasetError(f"{path}: no folder csv_files in it, so it is not a data set in the FM_UIA layout.")
    return sorted(roots, key=lambda root: (order.get(root.name, 2), root.name))


def tables(root: Path) -> list[Path]:
    """Return the tables of a root, by name.

    Raises
    ------
    DatasetError
        There is none.
    """
    files = (root / "csv_files").iterdir()
    found = sorted(file for file in files if file.suffix.lower() == ".csv" and not file.name.startswith("."))
    if not found:
        raise DatasetError(f"{root / 'csv_files'}: no CSV table in it.")
    return found


def table_lines(
    table: Path, on_fault: Callable[[int, str], None] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, cells by column name) of a table, without blank lines; the header is line 1.

    Parameters
    ----------
    table : Path
    on_fault : callable, optional
        Called with the line and the fault of a line that cannot be read, which is then left out. Without it that is an
        error.

    Raises
    ------
    DatasetError
        The table cannot be read, is not UTF-8, lacks a column that every row needs, or is cut short.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            stream.seek(0)
            reader = csv.reader(stream, delimiter=";" if header.count(";") > header.count(",") else ",", strict=True)
            names = [name.strip() for name in next(reader, [])]
            missing = [column for column in COMMON_COLUMNS if column not in names]
            if missing:
                raise DatasetError(f"{table}: the table has no column {', '.join(missing)}.")
            for values in reader:
                if not any(value.strip() for value in values):
                    continue
                if len(values) > len(names):
                    if on_fault is not None:
                        on_fault(reader.line_num, "more cells than columns.")
                        continue
                    raise DatasetError(f"{table}, line {reader.line_num}: more cells than columns.")
                values += [""] * (len(names) - len(values))
                yield reader.line_num, dict(zip(names, values, strict=True))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{table}: the table is not UTF-8 text; save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise DatasetError(f"{table}: the table is not valid CSV ({error}).") from error
    except OSError as error:
        raise DatasetError(f"{table}: the table cannot be read ({error.strerror}).") from error
