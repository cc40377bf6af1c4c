"""What is exported and imported: the values of one task on one loop, frame by frame, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from m2dino.cine.loop import CineLoop, Frame
from m2dino.tasks import Task
from m2dino.values import Keypoints, Mask, Value, type_of

ExportFate = Literal["edited", "accepted", "proposed"]
"""As of a record; `proposed` is a prediction that no person has looked at yet."""


@dataclass(frozen=True)
class Annotation:
    """The value of one frame.

    Attributes
    ----------
    frame : int
        From 0.
    value : Mask, Box, Keypoints or ClassProbabilities
        In original-frame pixels.
    fate : str
        `edited`, `accepted` or `proposed`.
    model_id : str
        The checkpoint that proposed it; empty where a person started from nothing.
    group : str
        Subject or recording, for splits; empty where nothing is known.
    """

    frame: int
    value: Value
    fate: ExportFate = "accepted"
    model_id: str = ""
    group: str = ""


@dataclass(frozen=True)
class AnnotatedLoop:
    """One task on one loop. Iterating reads one annotation after another, so that masks need not all be in memory.

    Attributes
    ----------
    loop_id : str
        `CineLoop.identity`.
    task : Task
    frames : tuple of int
        The annotated frames, rising.
    size : (height, width)
        Of a frame in pixels.
    read : callable
        Returns the annotation of one of the frames.
    picture : callable
        Returns the picture of one of the frames, (H, W, 3) uint8 RGB.
    loop : CineLoop or None
        The loop itself where its file is at hand: only it knows frame times, length, millimetres and DICOM references.
    """

    loop_id: str
    task: Task
    frames: tuple[int, ...]
    size: tuple[int, int]
    read: Callable[[int], Annotation]
    picture: Callable[[int], Frame]
    loop: CineLoop | None = None

    def __iter__(self) -> Iterator[Annotation]:
        return (self.read(frame) for frame in self.frames)

    @property
    def times_s(self) -> dict[int, float]:
        """Seconds from the first frame of the loop, by annotated frame; empty where they are not known."""
        times = None if self.loop is None else self.loop.frame_times_s
        return {} if times is None else {frame: float(times[frame]) for frame in self.frames}


def annotated_loop(
    loop: CineLoop, task: Task, values: Iterable[Annotation | tuple[int, Value, ExportFate]]
) -> AnnotatedLoop:
    """Return the values of an open loop, as they stand in a window, ready to export.

    Raises
    ------
    ValueError
        A value is not of the task, a frame not of the loop, or a frame comes twice: the caller has a bug.
    """
    found: dict[int, Annotation] = {}
    for item in values:
        annotation = item if isinstance(item, Annotation) else Annotation(*item)
        _check(annotation, loop, task)
        if annotation.frame in found:
            raise ValueError(f"frame {annotation.frame} comes twice")
        found[annotation.frame] = annotation
    return AnnotatedLoop(
        loop.identity,
        task,
        tuple(sorted(found)),
        (loop.height, loop.width),
        found.__getitem__,
        loop.__getitem__,
        loop,
    )


def _check(annotation: Annotation, loop: CineLoop, task: Task) -> None:
    value = annotation.value
    if not 0 <= annotation.frame < len(loop):
        raise ValueError(f"frame {annotation.frame} of a loop of {len(loop)}")
    if type_of(value) != task.type:
        raise ValueError(f"a {type_of(value)} value for the {task.type} task {task.id}")
    if isinstance(value, Mask) and value.labels.shape != (loop.height, loop.width):
        raise ValueError(f"a mask of {value.labels.shape} on frames of {(loop.height, loop.width)}")
    if isinstance(value, Keypoints) and len(value.points) != task.num_classes:
        raise ValueError(f"{len(value.points)} points for a task of {task.num_classes}")
