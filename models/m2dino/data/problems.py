"""A fault found in somebody's data. A check lists every fault, where reading stops at the first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One fault.

    Attributes
    ----------
    file : Path
        The file that holds it.
    line : int
        Line of that file, from 1; 0 where lines mean nothing.
    text : str
        What is wrong, as a plain sentence.
    """

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else str(self.file)
        return f"{where}: {self.text}"
