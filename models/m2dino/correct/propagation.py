"""Carry what a person has drawn on one frame to its neighbours, as far as the tissue can be followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from m2dino.cine.loop import CineLoop
from m2dino.correct.carrying import BoxCarrier, Carrier, KeypointsCarrier, MaskCarrier
from m2dino.correct.motion import motion, reduced
from m2dino.correct.places import Grid
from m2dino.errors import UsageError
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

LEAST_CONSISTENCY = 0.25
"""Share of a structure that has to come back, followed there and back, for it to be carried on."""
LEAST_LIKENESS = 0.6
"""Correlation that a structure's surroundings keep from one frame to the next; below, the picture has changed."""


class Carried(NamedTuple):
    """A value carried to another frame.

    Attributes
    ----------
    frame : int
    value : Mask, Box or Keypoints
        In original-frame pixels.
    confidence : float
        Product, over the frames passed, of the share of the structure that was found again when followed back: 0 to 1,
        falling with the distance. It says that the picture was followed, not that the outline is right.
    """

    frame: int
    value: Value
    confidence: float


def propagate(
    loop: CineLoop,
    start_frame: int,
    value: Value,
    frames: range,
    *,
    should_stop: ShouldStop = never_stop,
    on_progress: OnProgress = ignore_progress,
) -> Iterator[Carried]:
    """Yield the value carried to each of `frames` in turn, until the tissue can no longer be followed.

    Parameters
    ----------
    loop : CineLoop
    start_frame : int
        The frame that `value` belongs to.
    value : Mask, Box or Keypoints
    frames : range
        The neighbours, nearest first: range(start_frame + 1, end), or range(start_frame - 1, end, -1) for backwards.

    Raises
    ------
    UsageError
        There is nothing to carry, or `frames` does not begin beside the start frame or leaves the loop. Raised at
        once, before the first value is asked for.
    LoopError
        A frame cannot be decoded.
    """
    _check(loop, start_frame, frames)
    return _carried(loop, start_frame, _carrier(loop, start_frame, value), frames, should_stop, on_progress)


def _carried(
    loop: CineLoop, start: int, carrier: Carrier, frames: range, should_stop: ShouldStop, on_progress: OnProgress
) -> Iterator[Carried]:
    confidence = 1.0
    earlier = reduced(loop[start])
    for done, frame in enumerate(frames):
        on_progress(done, len(frames), f"frame {frame}")
        window = carrier.window()
        if should_stop() or window is None:
            return
        later = reduced(loop[frame])
        step = motion(earlier, later, window)
        carrier.advance(step)
        consistency = step.consistency(carrier.places())
        if consistency < LEAST_CONSISTENCY or step.likeness < LEAST_LIKENESS:
            return
        confidence *= consistency
        yield Carried(frame, carrier.value, confidence)
        earlier = later
    on_progress(len(frames), len(frames), "done")


def _check(loop: CineLoop, start: int, frames: range) -> None:
    count = len(loop)
    if not 0 <= start < count:
        raise UsageError(f"There is no frame {start}: the loop has frames 0 to {count - 1}.")
    if not frames:
        return
    if abs(frames.step) != 1 or frames[0] != start + frames.step:
        raise UsageError(
            f"Frames are carried to one after another, beginning beside frame {start}, not at {frames[0]}."
        )
    if not 0 <= frames[-1] < count:
        raise UsageError(f"There is no frame {frames[-1]}: the loop has frames 0 to {count - 1}.")


def _carrier(loop: CineLoop, start: int, value: Value) -> Carrier:
    grid = Grid((loop.height, loop.width), reduced(loop[start]).shape)
    carrier: Carrier
    match value:
        case Mask():
            if value.labels.shape != grid.full:
                raise UsageError(f"The mask is {value.labels.shape}, but the frames of the loop are {grid.full}.")
            carrier = MaskCarrier(value, grid)
        case Box():
            carrier = BoxCarrier(value, grid)
        case Keypoints():
            carrier = KeypointsCarrier(value, grid)
        case ClassProbabilities():
            raise UsageError(
                "The class of a frame has no place in it, so it cannot follow the tissue: copy it instead."
            )
    if carrier.window() is None:
        raise UsageError(f"Frame {start} has nothing to carry: draw something on it first.")
    return carrier
