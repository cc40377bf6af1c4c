"""What the tour writes down: time, memory and agreement with the truth, station by station."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

NAME = "report.md"
TITLE = "# Tour"


def clear(folder: Path) -> None:
    """Make an empty folder for a tour, in place of an earlier tour's.

    Raises
    ------
    FileExistsError
        It holds something that is no tour's.
    """
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or _is_tours(folder))):
        raise FileExistsError(f"{folder} holds something that is no tour's; name a new folder.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # From the start on, so that the folder of a tour that was broken off is known as one.
    (folder / NAME).write_text(f"{TITLE}\n\nNot finished.\n", encoding="utf-8")


def _is_tours(folder: Path) -> bool:
    try:
        return (folder / NAME).read_text(encoding="utf-8").startswith(TITLE)
    except (OSError, UnicodeDecodeError):
        return False


@dataclass
class Report:
    """Notes of a tour.

    Attributes
    ----------
    stations : list of (str, float, str)
        Title, wall time in seconds, file name of the picture.
    lines : list of str
        Findings, in order.
    failure : str
        What went wrong; empty if nothing did.
    """

    stations: list[tuple[str, float, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    failure: str = ""

    def write(self, folder: Path) -> None:
        """Write report.md into `folder`."""
        head = [TITLE, "", f"Python {platform.python_version()}, {platform.system()}, {cpus()} CPUs."]
        table = ["", "| station | wall time | picture |", "|---|---|---|"]
        table += [f"| {title} | {seconds:.1f} s | [{name}]({name}) |" for title, seconds, name in self.stations]
        total = sum(seconds for _, seconds, _ in self.stations)
        table.append(f"| **all** | {total:.1f} s | |")
        notes = ["", *(f"- {line}" for line in [*self.lines, *memory()])]
        end = ["", f"**Failed**: {self.failure}"] if self.failure else []
        (folder / NAME).write_text("\n".join([*head, *table, *notes, *end]) + "\n", encoding="utf-8")


def cpus() -> int:
    """Return how many processors this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> list[str]:
    """Return the peak memory of this process and of its largest child, in words; nothing where it cannot be told."""
    if sys.platform == "win32":
        return []
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return [f"peak memory: window {own:.0f} MiB, training process {child:.0f} MiB"]
