"""Whatever a person draws, there is a figure or a reason: never an error, and never a figure that is not a number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from m2dino.measure import measure_loop
from m2dino.tasks import Task, builtin_tasks
from m2dino.values import Keypoints, Mask
from numpy.typing import NDArray

from tests.measure.shapes import SHAPE, BlankLoop

TASKS = [task for task in builtin_tasks() if task.type in ("segmentation", "regression")]
few = settings(max_examples=15, deadline=None)
drawn = st.sampled_from([0, 0, 0, 1, 2, 3])


@pytest.mark.parametrize("task", [task for task in TASKS if task.type == "segmentation"], ids=lambda task: task.id)
@few
@given(
    st.lists(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=drawn), min_size=1, max_size=3)
)
def test_any_mask(task: Task, patches: list[NDArray[np.uint8]]) -> None:
    values = []
    for frame, patch in enumerate(patches):
        labels = np.zeros(SHAPE, np.uint8)
        labels[: patch.shape[0], -patch.shape[1] :] = np.minimum(patch, task.num_classes - 1)
        values.append((frame, Mask(labels)))
    for one in measure_loop(values, task, BlankLoop(pixel=(0.3, 0.7))):
        assert (one.value is None) == bool(one.reason)
        assert one.value is None or math.isfinite(one.value)


@pytest.mark.parametrize("task", [task for task in TASKS if task.type == "regression"], ids=lambda task: task.id)
@few
@given(st.data())
def test_any_points(task: Task, data: st.DataObject) -> None:
    places = st.sampled_from([math.nan, 0.0, 1.0, 75.5, 149.0])
    points = data.draw(arrays(np.float64, (task.num_classes, 2), elements=places))
    for one in measure_loop([(0, Keypoints(points))], task, BlankLoop(pixel=(0.3, 0.7))):
        assert (one.value is None) == bool(one.reason)
        assert one.value is None or math.isfinite(one.value)
