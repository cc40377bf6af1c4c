"""The line of models of a dataset folder: what was fine-tuned from what, which one is in use, and the way back."""

from m2dino.lineage.harm import objections
from m2dino.lineage.line import (
    CHECKPOINTS,
    Lineage,
    LineModel,
    State,
    checkpoint_folder,
    keep_aside,
    promote,
    read_lineage,
    record_trained,
    roll_back,
)
from m2dino.lineage.starting import refuse_taken, start_of

__all__ = [
    "CHECKPOINTS",
    "LineModel",
    "Lineage",
    "State",
    "checkpoint_folder",
    "keep_aside",
    "objections",
    "promote",
    "read_lineage",
    "record_trained",
    "refuse_taken",
    "roll_back",
    "start_of",
]
