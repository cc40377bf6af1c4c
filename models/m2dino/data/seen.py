"""What the network is shown of a labelled frame in training: the same pixels as in a prediction of its loop."""

from __future__ import annotations

from m2dino.cine.loop import Frame
from m2dino.data.cropping import Crop
from m2dino.data.records import Record
from m2dino.values import Value


def crop_of(record: Record, frame: Frame) -> Crop | None:
    """Return the part of a frame, (H, W, 3), that training cuts out for a record; None: all of it.

    All of it too where a person has labelled something outside that part: cut off, the label would teach less than
    what it says.
    """
    return crop_within(record, frame.shape[0], frame.shape[1])


def crop_within(record: Record, height: int, width: int) -> Crop | None:
    """Return what `crop_of` does, for a frame of this size."""
    if record.region is None:
        return None
    crop = Crop(height, width, record.region)
    return crop if record.value is None or crop.holds(record.value) else None


def as_seen(record: Record, frame: Frame) -> tuple[Frame, Value]:
    """Return the pixels that the network is shown of a frame and the record's value in those pixels.

    Raises
    ------
    ValueError
        The record is of a rejected frame.
    """
    if record.value is None:
        raise ValueError("a rejected record has nothing to train on")
    crop = crop_of(record, frame)
    return (frame, record.value) if crop is None else (crop.frame_in(frame), crop.value_in(record.value))
