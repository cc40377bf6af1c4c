"""Which rows make a batch, which tasks share a network, which frames are held out."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m2dino.tasks import builtin_tasks
from m2dino.training.holdout import assign
from m2dino.training.paradigms import partition
from m2dino.training.sampling import TaskSampler

from tests.tasks_reference import REFERENCE

ROWS = {"large": range(900), "middle": range(900, 1000), "small": range(1000, 1009), "one": range(1009, 1010)}


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_tasks_come_as_often_as_their_number_of_rows_to_the_power_alpha(alpha: float) -> None:
    draws = 4000
    counts = Counter(batch.task_id for batch in TaskSampler(ROWS, 2, 0, alpha).batches(0, draws))
    weights = {task: len(rows) ** alpha for task, rows in ROWS.items()}
    expected = {task: draws * weight / sum(weights.values()) for task, weight in weights.items()}
    squares = sum((counts[task] - wanted) ** 2 / wanted for task, wanted in expected.items())
    assert squares < 16.3, f"chi-square of 3 degrees of freedom at p = 0.001: {counts} for {expected}"


def test_fixed_shares_are_kept_and_the_rest_is_divided() -> None:
    sampler = TaskSampler(ROWS, 2, 0, 0.5, {"one": 0.5})
    shares = dict(zip(sampler.tasks, sampler.probabilities, strict=True))
    assert shares["one"] == pytest.approx(0.5)
    assert shares["large"] / shares["small"] == pytest.approx(10)
    assert sum(shares.values()) == pytest.approx(1)


def test_a_batch_holds_rows_of_its_task_and_no_row_twice() -> None:
    for batch in TaskSampler(ROWS, 8, 3).batches(0, 200):
        rows = [key.row for key in batch.keys]
        assert set(rows) <= set(ROWS[batch.task_id])
        assert len(rows) == 8
        if batch.task_id != "one":
            assert len(set(rows)) == 8


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    """So that a run can go on anywhere: batch 50 needs nothing of the 49 before it."""
    sampler = TaskSampler(ROWS, 4, 7)
    walked = list(sampler.batches(0, 60))
    assert TaskSampler(dict(reversed(ROWS.items())), 4, 7).batch(50) == walked[50]
    assert list(sampler.batches(50, 60)) == walked[50:]
    assert TaskSampler(ROWS, 4, 8).batch(50) != walked[50]
    seeds = [key.seed for batch in walked for key in batch.keys]
    assert len(set(seeds)) == len(seeds), "no picture is augmented the same way twice"


def test_every_row_gets_its_turn() -> None:
    seen = {key.row for batch in TaskSampler({"a": range(40)}, 8, 0).batches(0, 60) for key in batch.keys}
    assert seen == set(range(40))


def test_paradigms_part_the_27_tasks() -> None:
    tasks = {task.id: task for task in builtin_tasks()}
    everything = sorted(tasks)
    assert partition(tasks, "all-task") == {"all": everything}
    assert partition(tasks, "task-specific") == {task_id: [task_id] for task_id in everything}
    groups = partition(tasks, "clinically-grouped")
    assert groups == {
        group: sorted(task_id for task_id, _, _, own in REFERENCE if own == group)
        for group in {group for *_, group in REFERENCE}
    }


loops = st.dictionaries(st.sampled_from("abcdef"), st.sets(st.integers(0, 60), min_size=1, max_size=12), max_size=6)
"""Frames added to a store in one go."""
growing = st.lists(loops, min_size=1, max_size=5)


def grown(steps: list[dict[str, set[int]]]) -> list[dict[tuple[str, int], bool]]:
    """Fine-tune after every step, as a person does: the sides of all frames after each."""
    frames: set[tuple[str, int]] = set()
    fixed: dict[tuple[str, int], bool] = {}
    sides = []
    for step in steps:
        frames |= {(loop, frame) for loop, own in step.items() for frame in own}
        fixed |= assign(frames, fixed)
        sides.append(dict(fixed))
    return sides


@given(growing)
def test_a_frame_keeps_its_side_for_good(steps: list[dict[str, set[int]]]) -> None:
    sides = grown(steps)
    for before, after in pairwise(sides):
        assert before.items() <= after.items()


@given(growing)
def test_both_sides_have_frames_as_soon_as_there_are_enough(steps: list[dict[str, set[int]]]) -> None:
    # A fine-tune needs four frames: before that nothing is decided.
    waiting: dict[str, set[int]] = {}
    started = False
    batches = []
    for step in steps:
        for loop, own in step.items():
            waiting.setdefault(loop, set()).update(own)
        if started or sum(len(own) for own in waiting.values()) >= 4:
            started = True
            batches.append(waiting)
            waiting = {}
    for held in grown(batches):
        assert set(held.values()) == {True, False}, held


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.integers(0, 60), min_size=1), min_size=3))
def test_from_three_loops_on_whole_loops_are_held_out(frames: dict[str, set[int]]) -> None:
    sides = grown([frames])[0]
    of_loop = {loop: {sides[loop, frame] for frame in own} for loop, own in frames.items()}
    assert all(len(own) == 1 for own in of_loop.values())
    held = sum(own == {True} for own in of_loop.values())
    assert 1 <= held <= max(1, round(0.25 * len(frames)))


@given(st.sets(st.integers(0, 60), min_size=2), st.sets(st.integers(0, 60)))
def test_one_loop_is_cut_once_and_what_comes_later_joins_its_neighbour(first: set[int], later: set[int]) -> None:
    """No frame that trains lies between two that are held out, or nearer to one than to one that trains."""
    sides = grown([{"a": first}, {"a": later}] if later else [{"a": first}])[-1]
    order = [sides["a", frame] for frame in sorted(first)]
    assert order == sorted(order)
    assert np.ceil(0.2 * len(first)) == sum(order)
    for frame in later - first:
        nearest = min(first, key=lambda other: (abs(other - frame), other))
        assert sides["a", frame] == sides["a", nearest]
