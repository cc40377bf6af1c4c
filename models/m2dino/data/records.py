"""What became of a prediction: the record of one frame's review.

Only `edited` and `accepted` records train. The machine's proposal is kept beside the human value, never replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from m2dino.data.cropping import Region
from m2dino.values import Prediction, Value

SCHEMA_VERSION = 1
Fate = Literal["edited", "accepted", "rejected"]
Key = tuple[str, int]
"""A frame: the identity of its loop, and its index there."""


@dataclass(frozen=True)
class Record:
    """The fate of one frame for one task.

    Attributes
    ----------
    loop_id : str
        `CineLoop.identity` of the loop; never a name or a path.
    frame : int
        Index of the frame in the loop, from 0.
    task_id : str
    fate : str
        `edited` (a person changed or drew it), `accepted` (a person agreed unchanged), `rejected` (unusable: a
        tombstone, which never trains).
    value : Value or None
        The label, in original-frame pixels; None if and only if rejected.
    proposal : Prediction or None
        What the machine had proposed; None where the person started from nothing or the label was imported.
    author : str
        Who decided: free text chosen by the user, by default empty; never taken from the image file.
    seconds : float
        Time that the person spent on the frame.
    created : str
        UTC time of saving (of the review, not of the examination), ISO 8601 with seconds; filled by the store.
    interpolated : bool
        True for a value that a program filled between two human ones; such records do not train by default.
    group : str
        Subject or recording the frame belongs to, for honest splits; the loop's identity where nothing is known.
    region : tuple of int, optional
        The part of the frame, (y_min, x_min, y_max, x_max), that the network is shown of this loop, and that training
        cuts out; None: all of it. Not kept of a rejected frame.
    """

    loop_id: str
    frame: int
    task_id: str
    fate: Fate
    value: Value | None
    proposal: Prediction | None = None
    author: str = ""
    seconds: float = 0.0
    created: str = ""
    interpolated: bool = False
    group: str = field(default="")
    region: Region | None = None

    def __post_init__(self) -> None:
        if self.fate not in get_args(Fate):
            raise ValueError(f"unknown fate {self.fate!r}")
        if (self.value is None) != (self.fate == "rejected"):
            raise ValueError("a rejected record has no value, every other has one")
        if self.frame < 0:
            raise ValueError(f"frame {self.frame} is negative")

    @property
    def model_id(self) -> str:
        """Id of the checkpoint that made the proposal; empty without one."""
        return self.proposal.model_id if self.proposal else ""

    @property
    def trains(self) -> bool:
        """Whether training may use it by default."""
        return self.fate in ("edited", "accepted") and not self.interpolated
