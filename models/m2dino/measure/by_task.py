"""What is measured on the values of each task.

Every mask gives area, perimeter and axes of its classes, and every pair of points that the names of a task's labels put
together gives a length, so a task of one's own is measured too. What needs to know the anatomy stands in the tables
below, by task id; a task of one's own whose labels are named "OFD ..." and "BPD ..." is measured as a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from m2dino.cine.loop import CineLoop
from m2dino.cine.markers import Marker
from m2dino.measure.cycle import relative_change
from m2dino.measure.fetal import femur, head_from_mask, head_from_points
from m2dino.measure.lines import angle_of_progression, length
from m2dino.measure.pelvis import progression_from_mask
from m2dino.measure.regions import extent, largest_piece, region_measurements
from m2dino.measure.result import Measurement
from m2dino.measure.scale import Floats, Scale
from m2dino.measure.ventricle import volume
from m2dino.measure.vessel import lumen_diameter
from m2dino.scoring.lengths import lengths_of
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints, Mask, Value

Labels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Found = tuple[Measurement, ...]

# A stray piece would spoil an axis or an ellipse: anatomy is measured on the largest piece of a class.
_MASKS: dict[str, Callable[[Labels, Scale], Found]] = {
    "fetal_head": lambda labels, scale: head_from_mask(largest_piece(labels == 1), scale),
    "head_symphysis_multi": lambda labels, scale: (
        progression_from_mask(largest_piece(labels == 1), largest_piece(labels == 2), scale),
    ),
    "carotid_artery": lambda labels, scale: (lumen_diameter(largest_piece(labels == 1), scale),),
    "cardiac_multi": lambda labels, scale: (volume(largest_piece(labels == 1), labels == 3, scale),),
}
_POINTS: dict[str, Callable[[Floats, Scale], Found]] = {
    "IUGC": lambda points, scale: (angle_of_progression(points, scale),),
    "FUGC": lambda points, scale: (length("cervical length", points, 0, 1, scale),),
    "fetal_femur": femur,
}
_CHANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "cardiac_multi": (
        ("fractional area change", "LV cavity area"),
        ("ejection fraction", "left ventricular volume"),
    ),
}


def measure(value: Value, task: Task, loop: CineLoop, frame: int) -> Found:
    """Return what can be measured on one frame; in millimetres where one scale of the loop holds at all of it.

    Parameters
    ----------
    value : Mask, Box, Keypoints or ClassProbabilities
        In original-frame pixels. The class of a frame measures nothing.
    task : Task
    loop : CineLoop
        Gives the scale.
    frame : int
    """
    found: Found = ()
    if isinstance(value, Mask):
        scale = Scale.at(loop, extent(value.labels > 0))
        for label in range(1, task.num_classes):
            region = value.labels == label
            found += region_measurements(task.labels[label].name, region, Scale.at(loop, extent(region)))
        found += _MASKS[task.id](value.labels, scale) if task.id in _MASKS else ()
    elif isinstance(value, Keypoints):
        found = _on_points(value.points, task, Scale.at(loop, value.points))
    elif isinstance(value, Box):
        found = _on_box(value, task, loop)
    return tuple(one.on(frame) for one in found)


def measure_loop(values: Iterable[tuple[int, Value]], task: Task, loop: CineLoop) -> Found:
    """Return what can be measured on the frames, in their order, and then what can be said of the whole loop."""
    each = [one for frame, value in values for one in measure(value, task, loop, frame)]
    return (*each, *changes(each, task, loop.markers))


def changes(measured: Sequence[Measurement], task: Task, markers: Sequence[Marker]) -> Found:
    """Return how figures of single frames change over the heart's cycle, where the task defines it."""
    return tuple(
        relative_change(name, [one for one in measured if one.name == source], markers)
        for name, source in _CHANGES.get(task.id, ())
    )


def _on_points(points: Floats, task: Task, scale: Scale) -> Found:
    if task.id in _POINTS:
        return _POINTS[task.id](points, scale)
    named = {one.name.upper(): one for one in lengths_of(task)}
    if {"OFD", "BPD"} <= set(named):
        return head_from_points(points, named["OFD"], named["BPD"], scale)
    return tuple(length(one.name, points, one.start, one.end, scale) for one in lengths_of(task))


def _on_box(box: Box, task: Task, loop: CineLoop) -> Found:
    # The end of a box is exclusive and an edge lies half a pixel before the centre of its first pixel.
    corners = np.array([(box.y_min, box.x_min), (box.y_max, box.x_max)]) - 0.5
    scale = Scale.at(loop, corners)
    (height, width), name = np.diff(scale.scaled(corners), axis=0)[0], task.labels[0].name
    return (
        Measurement(f"{name} height", float(height), scale.length_unit, inputs="box"),
        Measurement(f"{name} width", float(width), scale.length_unit, inputs="box"),
    )
