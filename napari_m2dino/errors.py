"""How an error is told to a person: one plain sentence, whatever was raised."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from m2dino.errors import M2DinoError, MemoryFullError

logger = logging.getLogger(__name__)
Level = Literal["info", "good", "warning", "error"]


@dataclass(frozen=True)
class Message:
    """What the dock's message line shows."""

    text: str
    level: Level = "info"


def explain(error: BaseException, doing: str) -> str:
    """Return what to tell a person about an error.

    Parameters
    ----------
    error : BaseException
        One of ours is shown as it stands; for others the kind of error is named, never a traceback and never text from
        a file, which could hold a patient's name.
    doing : str
        What was being done, such as "predicting".
    """
    if isinstance(error, MemoryFullError):
        return f"The memory ran out while {doing}, even for one frame at a time: close other programs."
    if isinstance(error, M2DinoError):
        return str(error)
    if isinstance(error, ImportError | OSError) and "torch" in f"{error} {getattr(error, 'name', '')}".lower():
        return (
            "PyTorch could not be loaded in this program. On Windows, install the newest Microsoft Visual C++ "
            "Redistributable and start napari again; `m2dino predict` on the command line works without napari."
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"The memory ran out while {doing}: close other programs, or predict fewer frames at a time."
    where = _place(error)
    logger.error("%s while %s, at %s", type(error).__name__, doing, where)
    kind = type(error).__name__
    return f"An unexpected error ({kind}) while {doing}, at {where}: please report it. Nothing saved is lost."


def _place(error: BaseException) -> str:
    """Return module and line where an error arose, without the folder names above."""
    trace = error.__traceback__
    if trace is None:
        return "an unknown place"
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "unknown")
    return f"{module}:{trace.tb_lineno}"
