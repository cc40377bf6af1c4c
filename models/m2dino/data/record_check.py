"""Whether a record says something that its task and its frame allow; if not, the caller has a bug."""

from __future__ import annotations

import re

from m2dino.data.cropping import Crop
from m2dino.data.records import Record
from m2dino.errors import UsageError
from m2dino.tasks import Task
from m2dino.values import ClassProbabilities, Keypoints, Mask, Value, type_of

_LOOP_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")


def check_fits(record: Record, task: Task, size: tuple[int, ...] | None) -> None:
    """Raise ValueError where a record's values do not fit its task or its frame of `size` (height, width).

    `size` is None where the frame's picture is not known, which only a rejected record may leave so.
    """
    if not _LOOP_ID.fullmatch(record.loop_id):
        raise ValueError("a loop id holds only letters, digits, _ and -")
    proposal = record.proposal
    if proposal is not None and (proposal.frame, proposal.task_id) != (record.frame, record.task_id):
        raise ValueError("the proposal is of another frame or task than the record")
    if record.value is not None and size is None:
        raise ValueError("the first record of a frame needs its picture")
    if record.region is not None and size is not None:
        try:
            Crop(size[0], size[1], record.region)
        except UsageError as error:
            raise ValueError(str(error)) from None
    for value in (record.value, proposal.value if proposal else None):
        if value is not None:
            _check_value(value, task, size)


def _check_value(value: Value, task: Task, size: tuple[int, ...] | None) -> None:
    if type_of(value) != task.type:
        raise ValueError(f"a {type_of(value)} value for the {task.type} task {task.id}")
    if isinstance(value, Mask):
        if size is not None and value.labels.shape != tuple(size):
            raise ValueError(f"a mask of {value.labels.shape} on a frame of {tuple(size)}")
        if int(value.labels.max(initial=0)) >= task.num_classes:
            raise ValueError(f"a mask with class {int(value.labels.max())} for {task.num_classes} classes")
    elif isinstance(value, Keypoints):
        if len(value.points) != task.num_classes:
            raise ValueError(f"{len(value.points)} points for a task of {task.num_classes}")
    elif isinstance(value, ClassProbabilities) and len(value.probabilities) != task.num_classes:
        raise ValueError(f"{len(value.probabilities)} probabilities for a task of {task.num_classes} classes")
