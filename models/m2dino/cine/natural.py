"""The order in which a person numbers files: 2 before 10."""

from __future__ import annotations

import re
from pathlib import Path

_DIGITS = re.compile(r"(\d+)")


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key: runs of digits compare as numbers, the rest without regard to case, ties by the exact name."""
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(path.name.casefold())]
    return parts, path.name
