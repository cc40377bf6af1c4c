"""The rows that a training may use: all of them are looked at before its first step.

Training refuses data with an error: a file that is missing or damaged, a label that its task cannot have, a mask of
another size than its image, two labels of one task for one image that disagree. It leaves out, and counts, rows from
which there is nothing to learn. No row ever stands in for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from m2dino.data.problems import Problem
from m2dino.data.row_check import RowChecker
from m2dino.data.rows import Row
from m2dino.errors import DatasetError
from m2dino.progress import OnProgress, ignore_progress

_TOLD = 3


@dataclass(frozen=True)
class SoundRows:
    """Rows to use, and why the others are not.

    Attributes
    ----------
    rows : list of Row
    left_out : list of Problem
        One for each row left out.
    """

    rows: list[Row]
    left_out: list[Problem]


def sound_rows(rows: Sequence[Row], on_progress: OnProgress = ignore_progress) -> SoundRows:
    """Decode every image and mask once, and return the rows that hold something to learn.

    Raises
    ------
    DatasetError
        A row has an error; the message tells the first three and how many there are.
    """
    checker = RowChecker()
    kept: list[Row] = []
    left_out: list[Problem] = []
    errors: list[Problem] = []
    for done, row in enumerate(rows):
        on_progress(done, len(rows), "looking at the data")
        wrong = [problem for problem in checker.problems(row) if problem.level == "error"]
        errors += wrong
        reason = None if wrong else checker.nothing_to_learn(row)
        if reason is not None:
            left_out.append(Problem(row.csv, row.line, f"{reason}."))
        elif not wrong:
            kept.append(row)
    on_progress(len(rows), len(rows), "")
    if errors:
        told = "\n".join(map(str, errors[:_TOLD]))
        more = f"\n{len(errors) - _TOLD} more; `m2dino dataset check` lists them all." if len(errors) > _TOLD else ""
        raise DatasetError(f"{told}{more}")
    return SoundRows(kept, left_out)
