"""Where a proposal comes from: a model, or labels that were carried, filled in between, or imported. No Qt.

It is kept where the id of the model is kept, so that it goes wherever a proposal goes: into the record of the frame,
too. An id of a model has no colon in its first word, these have.
"""

from __future__ import annotations

from enum import Enum


class Origin(Enum):
    """Who made a proposal."""

    MODEL = "model"
    CARRIED = "carried"
    INTERPOLATED = "interpolated"
    IMPORTED = "imported"


def carried_from(frame: int) -> str:
    """Return the id of what was carried from a frame by the motion of the tissue."""
    return f"{Origin.CARRIED.value}: from frame {frame}"


def interpolated_between(first: int, last: int) -> str:
    """Return the id of what was filled in between two frames."""
    return f"{Origin.INTERPOLATED.value}: between frames {first} and {last}"


def imported_from(kind: str) -> str:
    """Return the id of what came from a file of another program."""
    return f"{Origin.IMPORTED.value}: from {kind}"


def origin_of(model_id: str) -> Origin:
    """Return who made the proposals of this id."""
    word, colon, _ = model_id.partition(": ")
    known = {origin.value: origin for origin in Origin if origin is not Origin.MODEL}
    return known.get(word, Origin.MODEL) if colon else Origin.MODEL


def in_words(model_id: str) -> str:
    """Return "carried from frame 12" and the like; empty for a model."""
    return "" if origin_of(model_id) is Origin.MODEL else model_id.replace(": ", " ", 1)
