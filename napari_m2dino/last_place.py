"""Where the last session was left: a small file on this computer, outside the dataset folder. No Qt.

It names a path, which may name a patient: so it is never shown but to whom it belongs, and never shared.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from m2dino.data.durable import write_whole

VERSION = 1


@dataclass(frozen=True)
class LastPlace:
    """Where a session was left.

    Attributes
    ----------
    path : str
        The file or folder of the loop.
    loop_id : str
        `CineLoop.identity`: the loop is that one, wherever its file has gone.
    loop_name : str
        As the dock shows it, without what identifies a patient.
    dataset : str
        The dataset folder.
    task : str
    tasks : list of str
        All tasks worked on with the loop.
    frame : int
    order : str
        Of the queue.
    layers : dict of str to dict
        By task: whether its layer is visible, and its opacity.
    """

    path: str
    loop_id: str
    loop_name: str
    dataset: str
    task: str
    tasks: list[str]
    frame: int
    order: str
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)


def remember(file: Path, place: LastPlace) -> None:
    """Write a place, whole.

    Raises
    ------
    OSError
        The disk refuses.
    """
    write_whole(file, json.dumps({"version": VERSION, **asdict(place)}).encode())


def recall(file: Path) -> LastPlace | None:
    """Return the place written last; None where there is none, or none that this version understands."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        if known.pop("version") != VERSION:
            return None
        return LastPlace(**known)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
