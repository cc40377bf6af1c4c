"""Which rows make a batch, which tasks share a network, which frames are held out."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from m2dino.tasks import builtin_tasks
from m2dino.training.bundles import bundle
from m2dino.training.holdout import assign
from m2dino.training.paradigms import partition
from m2dino.training.sampling import TaskSampler

from tests.tasks_reference import REFERENCE

ROWS = {"large": range(900), "middle": range(900, 1000), "small": range(1000, 1009), "one": range(1009, 1010)}


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_tasks_come_as_often_as_their_number_of_rows_to_the_power_alpha(alpha: float) -> None:
    draws = 4000
    counts = Counter(task for batch in TaskSampler(ROWS, 2, 0, alpha).batches(0, draws) for task in batch.tasks)
    weights = {task: len(rows) ** alpha for task, rows in ROWS.items()}
    expected = {task: draws * weight / sum(weights.values()) for task, weight in weights.items()}
    squares = sum((counts[task] - wanted) ** 2 / wanted for task, wanted in expected.items())
    assert squares < 16.3, f"chi-square of 3 degrees of freedom at p = 0.001: {counts} for {expected}"


def test_fixed_shares_are_kept_and_the_rest_is_divided() -> None:
    sampler = TaskSampler(ROWS, 2, 0, 0.5, {"one": 0.5})
    shares = {bundle.tasks: p for bundle, p in zip(sampler.bundles, sampler.probabilities, strict=True)}
    assert shares["one",] == pytest.approx(0.5, rel=1e-4)
    assert shares["large",] / shares["small",] == pytest.approx(10, rel=1e-4)
    assert sum(shares.values()) == pytest.approx(1)


def test_a_batch_holds_rows_of_its_task_and_no_row_twice() -> None:
    for batch in TaskSampler(ROWS, 8, 3).batches(0, 200):
        rows = [row for key in batch.keys for row in key.rows]
        (task,) = batch.tasks
        assert set(rows) <= set(ROWS[task])
        assert len(rows) == 8
        if task != "one":
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
    seen = {key.rows for batch in TaskSampler({"a": range(40)}, 8, 0).batches(0, 60) for key in batch.keys}
    assert seen == {(row,) for row in range(40)}


# Images of three kinds: 300 with a mask, its box and its points; 60 with a mask and a class; 40 with a class alone; and
# "kind" is on all of them. Row numbers are of no meaning; two rows of the same image and task are duplicates.
SHARED = {"mask": 360, "box": 300, "points": 300, "class": 100, "kind": 400}


def co_labelled() -> tuple[dict[str, list[int]], dict[int, str]]:
    carries = [("mask", "box", "points", "kind")] * 300 + [("mask", "class", "kind")] * 60 + [("class", "kind")] * 40
    rows: dict[str, list[int]] = {}
    image_of: dict[int, str] = {}
    for image, tasks in enumerate(carries):
        for task in tasks:
            rows.setdefault(task, []).append(len(image_of))
            image_of[len(image_of)] = f"image {image}"
    return rows, image_of


@pytest.mark.parametrize(("alpha", "limit"), [(0.0, 0), (0.5, 0), (1.0, 0), (0.5, 2)])
def test_tasks_on_the_same_images_come_as_often_as_they_would_alone(alpha: float, limit: int) -> None:
    rows, image_of = co_labelled()
    sampler = TaskSampler(rows, 8, 0, alpha, image_of_row=image_of, tasks_per_step=limit)
    batches = list(sampler.batches(0, 6000))
    counts = Counter(task for batch in batches for task in batch.tasks)
    weights = {task: number**alpha for task, number in SHARED.items()}
    for task, weight in weights.items():
        wanted = weight / sum(weights.values())
        # A limit is kept by dropping tasks by lot, which the shares are corrected for to first order only.
        assert counts[task] / counts.total() == pytest.approx(wanted, rel=0.2 if limit else 0.07), task
    assert counts.total() / len(batches) == pytest.approx(sampler.labels_per_image, rel=0.1)
    assert counts.total() / len(batches) > (1.5 if limit else 1.8), "else nothing would be shared"
    assert max(len(batch.tasks) for batch in batches) == (limit or 4)


def test_the_rows_of_a_key_are_one_image_in_the_order_of_the_tasks_and_all_come() -> None:
    rows, image_of = co_labelled()
    task_of = {row: task for task, own in rows.items() for row in own}
    seen = set()
    for batch in TaskSampler(rows, 8, 1, image_of_row=image_of).batches(0, 800):
        for key in batch.keys:
            assert tuple(task_of[row] for row in key.rows) == batch.tasks
            assert len({image_of[row] for row in key.rows}) == 1
            seen.update(key.rows)
        assert len({image_of[key.rows[0]] for key in batch.keys}) == 8
    assert seen == set(image_of)


def test_a_step_of_shared_images_depends_on_seed_and_step_alone() -> None:
    rows, image_of = co_labelled()
    turned = {task: rows[task] for task in reversed(rows)}
    one, other = (TaskSampler(own, 4, 7, image_of_row=image_of) for own in (rows, turned))
    assert list(one.batches(20, 40)) == [other.batch(step) for step in range(20, 40)]


carried = st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=40)


@given(carried, st.integers(1, 8))
def test_bundles_hold_every_row_once_and_no_small_group(images: list[set[str]], least: int) -> None:
    rows: dict[str, list[int]] = {}
    image_of: dict[int, int] = {}
    for image, tasks in enumerate(images):
        for task in sorted(tasks):
            rows.setdefault(task, []).append(len(image_of))
            image_of[len(image_of)] = image
    bundles = bundle(rows, image_of, least)
    found = [
        (task, row)
        for one in bundles
        for image in one.images
        for task, own in zip(one.tasks, image, strict=True)
        for row in own
    ]
    assert sorted(found) == sorted((task, row) for task, own in rows.items() for row in own)
    assert all(len(one.images) >= least for one in bundles if len(one.tasks) > 1)
    sampler = TaskSampler(rows, least, 0, image_of_row=image_of)
    assert sampler.probabilities.sum() == pytest.approx(1)
    assert (sampler.probabilities > 0).all()


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
    whole = [loop for loop, own in of_loop.items() if own == {True}]
    assert 1 <= len(whole) <= max(1, round(0.25 * len(frames)))
    vouching = sum(len(frames[loop]) for loop in whole)
    assert vouching <= 0.4 * len(sides)
    if vouching >= 0.1 * len(sides):
        assert all(len(own) == 1 for own in of_loop.values()), "none is cut where whole ones suffice"


def one_by_one(sizes: list[int]) -> list[tuple[float, float]]:
    """Fine-tune after each loop of so many frames: the share held out of all frames, and of the newest loop's."""
    sides = grown([{f"loop {number}": set(range(size))} for number, size in enumerate(sizes)])
    return [
        (
            sum(held.values()) / len(held),
            sum(side for (loop, _), side in held.items() if loop == f"loop {number}") / sizes[number],
        )
        for number, held in enumerate(sides)
    ]


def test_the_loop_that_most_frames_are_of_is_learnt_from_whenever_it_comes() -> None:
    """The third loop was held out whole and for ever, so that what was on the screen gained nothing."""
    overall, newest = zip(*one_by_one([6, 6, 40]), strict=True)
    assert newest[-1] == 0.2
    assert 0.2 <= overall[-1] < 0.25
    assert one_by_one([6, 6, 40, 6])[-1][1] == 1, "a loop that is no great loss is held out whole"
    assert any(newest == 1 for _, newest in one_by_one([6] * 6)), "of equal loops one vouches whole, in the end"


@given(st.lists(st.integers(4, 80), min_size=1, max_size=9))
def test_in_whatever_order_loops_come_enough_vouches_and_most_trains(sizes: list[int]) -> None:
    for number, (overall, newest) in enumerate(one_by_one(sizes)):
        assert 0.1 <= overall <= 0.4, (number, overall)
        if sizes[number] > 0.4 * sum(sizes[: number + 1]):
            assert newest < 0.5, "the bulk is not held out"


def test_a_picture_has_one_side_whatever_loops_it_is_in() -> None:
    """Exported and imported again each frame is a loop of its own; and a loop that gains an image is another one."""
    first = [("a", frame) for frame in range(10)]
    fixed = assign(first, {})
    copies = {(f"copy {frame}", 0): ("a", frame) for frame in range(10)}
    longer = {("a and one more", frame): ("a", frame) for frame in range(10)}
    pictures = {key: str(of) for key, of in {**copies, **longer, **{key: key for key in first}}.items()}
    units = dict.fromkeys(["a", "a and one more", *(loop for loop, _ in copies)], "one")
    added = [*copies, *longer, ("a and one more", 10)]
    sides = assign([*first, *added], fixed, units, pictures)
    assert {key: sides[key] for key in first} == fixed
    for key, of in {**copies, **longer}.items():
        assert sides[key] is fixed[of]
    assert sides["a and one more", 10], "the new image is beside the last ones, which are held out"
    alone = assign(added, fixed, units, pictures)
    assert all(alone[key] is sides[key] for key in added), "even where the first loop has no labels any more"
    at_once = assign([*first, *copies], {}, units, pictures)
    assert all(at_once[key] is at_once[of] for key, of in copies.items())
    assert sum(at_once[key] for key in first) == 2


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
