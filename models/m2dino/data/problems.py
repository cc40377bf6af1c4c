"""A fault found in somebody's data. A check lists every fault, where reading stops at the first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["error", "warning"]


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
    level : str
        `error` where the data is refused, or makes a result untrue; `warning` where the program copes, and says how.
    """

    file: Path
    line: int
    text: str
    level: Level = "error"

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else str(self.file)
        return f"{where}: {'warning: ' if self.level == 'warning' else ''}{self.text}"
