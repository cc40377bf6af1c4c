"""Augmentation keeps image and labels together: what is drawn at the label must still be at it afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from m2dino.data.augment import Augmentation
from m2dino.data.fmuia import Row, load_image, read_root, tasks_of
from m2dino.data.letterbox import Letterbox
from m2dino.data.row_values import label_value
from m2dino.data.samples import (
    GroupedFrames,
    GroupKey,
    GroupSample,
    LabelledFrames,
    Sample,
    SampleKey,
    SampleMaker,
    collate_groups,
    pixels_of,
)
from m2dino.data.scanner import depth_gain, jpeg, scanner_effects, shadows, tint
from m2dino.data.screen import field_of_view, screen_marks
from m2dino.data.targets import mirror_allowed, place_together
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, TaskType, Value
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from tests.synthetic import make_root

SIZE = 256
SQUARE = Letterbox(SIZE, SIZE, SIZE)
TOLERANCE = 1.5
MOVED = Augmentation(appearance=0)
"""Geometry alone: a blob can then be found by its brightness."""


def task(kind: TaskType, *, mirrored: bool = True) -> Task:
    return Task("t", kind, (Label("a"), Label("b")), "t", horizontal_flip=mirrored)


TASKS: dict[str, Task] = {
    "segmentation": task("segmentation"),
    "detection": task("detection"),
    "regression": task("regression"),
    "classification": task("classification"),
}


def disc(y: float, x: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.indices((SIZE, SIZE))
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def frame_of(shape: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.repeat(shape[..., None].astype(np.uint8) * 255, 3, axis=2)


def augmented(
    shape: NDArray[np.bool_], value: Value, kind: TaskType, seed: int | None, mirrored: bool = True
) -> Sample:
    maker = SampleMaker({"t": task(kind, mirrored=mirrored)}, SIZE, MOVED)
    return maker.make(SQUARE.image_in(frame_of(shape)), SQUARE, value, "t", seed)


def grouped(
    shape: NDArray[np.bool_],
    values: dict[str, Value],
    seed: int | None,
    side: int = SIZE,
    tasks: dict[str, Task] = TASKS,
) -> GroupSample:
    """All labels of one picture, which is kept at another size than the result where `side` says so."""
    box = Letterbox(SIZE, SIZE, side)
    maker = SampleMaker(tasks, SIZE, MOVED)
    placed = place_together(list(values.values()), box)
    return maker.group(pixels_of(box.image_in(frame_of(shape))), placed, list(values), seed)


def middle(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Centre of mass in edge coordinates, px: the centre of pixel 0 is at 0.5."""
    y, x = np.indices(weights.shape) + 0.5
    return np.array([(weights * y).sum(), (weights * x).sum()]) / weights.sum()


def bright(sample: Sample | GroupSample) -> NDArray[np.float64]:
    """Where the drawn blob is now."""
    image = sample.image[0].numpy().astype(float)
    return (image > 127).astype(float)


def extent(where: NDArray[np.floating]) -> NDArray[np.int64]:
    rows, columns = np.nonzero(where)
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])


seeds = st.integers(0, 2**62 - 1)
places = st.tuples(st.floats(80, 176), st.floats(80, 176))


@settings(max_examples=40, deadline=None)
@given(seeds, places)
def test_a_mask_stays_on_its_blob(seed: int, place: tuple[float, float]) -> None:
    shape = disc(*place, 20)
    sample = augmented(shape, Mask(shape.astype(np.uint8)), "segmentation", seed)
    target = sample.target.numpy()
    assert set(np.unique(target)) == {0, 1}
    assert np.abs(middle(bright(sample)) - middle(target.astype(float))).max() < TOLERANCE
    both = bright(sample).astype(bool) & (target > 0)
    assert 2 * both.sum() / (bright(sample).sum() + target.sum()) > 0.93


@settings(max_examples=40, deadline=None)
@given(seeds, places, st.booleans())
def test_a_point_stays_on_its_blob(seed: int, place: tuple[float, float], mirrored: bool) -> None:
    value = Keypoints(np.array([place, (np.nan, np.nan)]))
    sample = augmented(disc(*place, 8), value, "regression", seed, mirrored)
    points = sample.target.numpy() * SIZE
    # The point is kept in the picture; part of its blob may leave it.
    assume(points[0].min() > 12 and points[0].max() < SIZE - 12)
    assert np.abs(middle(bright(sample)) - points[0]).max() < TOLERANCE
    assert np.isnan(points[1]).all(), "a point that is not visible must not appear"


@settings(max_examples=40, deadline=None)
@given(seeds, places, st.tuples(st.integers(20, 60), st.integers(20, 60)))
def test_a_box_stays_around_its_blob(seed: int, place: tuple[float, float], extents: tuple[int, int]) -> None:
    top, left = int(place[0]) - 30, int(place[1]) - 30
    bottom, right = top + extents[0], left + extents[1]
    shape = np.zeros((SIZE, SIZE), bool)
    shape[top:bottom, left:right] = True
    sample = augmented(shape, Box(top, left, bottom, right), "detection", seed)
    edges = sample.target.numpy() * SIZE
    assert np.abs(extent(bright(sample)) - edges).max() < TOLERANCE


@settings(max_examples=60, deadline=None)
@given(seeds, places, st.integers(10, 30), st.sampled_from([SIZE, 320]))
def test_all_labels_of_a_picture_move_together(seed: int, place: tuple[float, float], radius: int, side: int) -> None:
    """A turned box follows the outline of the mask that it belongs to; the middle of the blob is the point."""
    rows, columns = np.indices((SIZE, SIZE))
    # A slanting ellipse: the box of its turned corners would be far too large.
    along, across = (rows - place[0]) + (columns - place[1]), (rows - place[0]) - (columns - place[1])
    shape = (along / (2 * radius)) ** 2 + (across / radius) ** 2 <= 1
    top, left, bottom, right = extent(shape)
    sample = grouped(
        shape,
        {
            "classification": ClassProbabilities.certain(1, 2),
            "segmentation": Mask(shape.astype(np.uint8)),
            "detection": Box(top, left, bottom, right),
            "regression": Keypoints(np.array([place, (np.nan, np.nan)])),
        },
        seed,
        side,
    )
    index, mask, edges, points = (target.numpy() for target in sample.targets)
    assert index == 1
    found = bright(sample)
    assert np.abs(extent(found) - edges * SIZE).max() < TOLERANCE
    assert np.abs(extent(mask) - edges * SIZE).max() < TOLERANCE + 1, "a mask ends at whole pixels, twice rounded"
    assert np.abs(middle(found) - points[0] * SIZE).max() < TOLERANCE
    assert np.abs(middle(found) - middle(mask.astype(float))).max() < TOLERANCE


def test_a_box_is_turned_only_with_the_mask_it_belongs_to() -> None:
    shape = np.zeros((SIZE, SIZE), bool)
    shape[60:180, 118:138] = True
    own, other = Box(60, 118, 180, 138), Box(10, 10, 30, 240)
    mask = Mask(shape.astype(np.uint8))

    def corners_cut(box: Box) -> bool:
        """Whether the bar was turned in any of the samples: a turned bar does not fill its box."""
        fills = []
        for seed in range(12):
            found = bright(grouped(shape, {"segmentation": mask, "detection": box}, seed))
            y_min, x_min, y_max, x_max = extent(found)
            fills.append(found[y_min:y_max, x_min:x_max].mean())
        return min(fills) < 0.9

    assert corners_cut(own)
    assert not corners_cut(other)


def test_what_one_label_forbids_no_label_of_the_picture_gets() -> None:
    shape = disc(128, 40, 12)
    values: dict[str, Value] = {
        "segmentation": Mask(shape.astype(np.uint8)),
        "classification": ClassProbabilities.certain(1, 2),
    }
    strict = {**TASKS, "classification": task("classification", mirrored=False)}
    for tasks, mirrored in ((TASKS, True), (strict, False)):
        sides = [middle(bright(grouped(shape, values, seed, tasks=tasks)))[1] > 128 for seed in range(24)]
        assert any(sides) == mirrored


@pytest.mark.parametrize(
    ("names", "may"),
    [
        (("femur end 1", "femur end 2"), True),
        (("upright", "brighter part"), True),
        (("OFD left end", "OFD right end"), False),
        (("background", "Left-atrium"), False),
        (("tip_L", "tip_R"), False),
    ],
)
def test_a_name_with_a_side_forbids_mirroring(names: tuple[str, str], may: bool) -> None:
    labels = tuple(Label(name) for name in names)
    assert mirror_allowed(Task("t", "regression", labels, "t")) is may
    assert not mirror_allowed(Task("t", "regression", labels, "t", horizontal_flip=False))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_points_that_are_told_apart_by_their_side_trade_names_in_a_mirror(seed: int) -> None:
    labels = tuple(Label(name) for name in ("left end", "middle", "right end"))
    paired = Task("t", "regression", labels, "t", mirror_pairs=(("left end", "right end"),))
    assert mirror_allowed(paired)
    points = Keypoints(np.array([(128.0, 90), (128, 128), (128, 166)]))
    maker = SampleMaker({"t": paired}, SIZE, MOVED)
    found = maker.make(SQUARE.image_in(frame_of(disc(128, 128, 5))), SQUARE, points, "t", seed).target
    assert found[0, 1] < found[1, 1] < found[2, 1], "the left one is on the left, mirrored or not"


DIAMETERS = Task(
    "t",
    "regression",
    tuple(Label(name) for name in ("left end", "right end", "upper end", "lower end")),
    "t",
    left_to_right=(("left end", "right end"),),
    top_to_bottom=(("upper end", "lower end"),),
)


def test_points_named_by_their_place_are_turned_far_and_named_anew() -> None:
    points = Keypoints(np.array([(60.0, 110), (190, 140), (105, 170), (150, 80)]))
    maker = SampleMaker({"t": DIAMETERS}, SIZE, MOVED)
    frame = SQUARE.image_in(frame_of(disc(128, 128, 5)))
    long, renamed = [], 0
    for seed in range(150):
        left, right, upper, lower = maker.make(frame, SQUARE, points, "t", seed).target.double().numpy()
        assert left[1] <= right[1], "the left end lies further left, however the picture was turned"
        assert upper[0] <= lower[0]
        first, second = right - left, lower - upper
        assert np.hypot(*first) > 1.3 * np.hypot(*second), "each name stays with its own line"
        long.append(np.degrees(np.arctan2(first[0], first[1])))
        renamed += first[0] < 0
    assert max(long) - min(long) > 60
    assert renamed > 20, "the upper end of the long line is the left one in some pictures, the right one in others"


def test_a_point_that_is_not_visible_takes_no_name_from_another() -> None:
    points = Keypoints(np.array([(128.0, 200), (np.nan, np.nan), (100, 120), (160, 130)]))
    maker = SampleMaker({"t": DIAMETERS}, SIZE, MOVED)
    frame = SQUARE.image_in(frame_of(disc(128, 128, 5)))
    for seed in range(20):
        found = maker.make(frame, SQUARE, points, "t", seed).target
        assert found.isnan().any(dim=1).sum() == 1
        assert not found[2:].isnan().any()


@settings(max_examples=30, deadline=None)
@given(seeds, st.tuples(st.floats(0, 255), st.floats(0, 255)))
def test_targets_stay_in_the_picture_or_are_not_visible(seed: int, place: tuple[float, float]) -> None:
    y, x = place
    points = augmented(disc(y, x, 5), Keypoints(np.array([place, (128, 128)])), "regression", seed).target
    assert ((points >= 0) & (points <= 1)).all(), "points that were in the picture are kept in it"
    edges = augmented(disc(y, x, 5), Box(y, x, min(y + 9, 256), min(x + 9, 256)), "detection", seed).target
    assert ((edges >= 0) & (edges <= 1)).all()
    assert (edges[:2] <= edges[2:]).all()
    outside = augmented(disc(y, x, 5), Keypoints(np.array([(-80.0, x), (y, 350.0)])), "regression", seed).target
    assert (outside.isnan() | ((outside >= 0) & (outside <= 1))).all()


@pytest.mark.parametrize("kind", ["segmentation", "classification", "regression"])
def test_no_mirror_where_left_and_right_are_part_of_the_label(kind: TaskType) -> None:
    """Something on the far left stays on the left in every sample, and not in every sample of a task that mirrors."""
    shape = disc(128, 40, 12)
    value = {
        "segmentation": Mask(shape.astype(np.uint8)),
        "classification": ClassProbabilities.certain(1, 2),
        "regression": Keypoints(np.array([[128, 40], [60, 60]])),
    }[kind]
    sides = {
        mirrored: [middle(bright(augmented(shape, value, kind, seed, mirrored)))[1] < 128 for seed in range(24)]
        for mirrored in (False, True)
    }
    assert all(sides[False])
    assert 4 <= sum(sides[True]) <= 20


def test_a_sample_depends_on_its_seed_alone() -> None:
    shape = disc(100, 120, 20)
    value = Mask(shape.astype(np.uint8))
    maker = SampleMaker({"t": task("segmentation")}, SIZE)

    def made(seed: int) -> Sample:
        return maker.make(SQUARE.image_in(frame_of(shape)), SQUARE, value, "t", seed)

    first = made(7)
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    second = made(7)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator is left as it was"
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.target, second.target)
    assert not torch.equal(first.image, made(8).image)


def test_without_a_seed_nothing_is_changed() -> None:
    shape = disc(100, 120, 20)
    plain = augmented(shape, Keypoints(np.array([[100, 120], [3.25, 200.5]])), "regression", None)
    assert torch.equal(plain.image[0] > 0, torch.from_numpy(shape))
    np.testing.assert_allclose(plain.target.numpy() * SIZE - 0.5, [[100, 120], [3.25, 200.5]], atol=1e-3)
    edges = augmented(shape, Box(10, 20, 100.5, 200), "detection", None).target.numpy() * SIZE
    np.testing.assert_allclose(edges, [10, 20, 100.5, 200], atol=1e-3)
    assert int(augmented(shape, ClassProbabilities.certain(1, 2), "classification", None).target) == 1


@settings(max_examples=15, deadline=None)
@given(seeds, st.booleans())
def test_at_strength_zero_nothing_is_changed(seed: int, coloured: bool) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    frame = frame if coloured else np.repeat(frame[..., :1], 3, axis=2)
    points = Keypoints(np.array([[100, 120], [3.25, 200.5]]))
    maker = SampleMaker({"t": task("regression")}, SIZE, Augmentation(0, 0))
    sample = maker.make(SQUARE.image_in(frame), SQUARE, points, "t", seed)
    assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), frame)
    np.testing.assert_allclose(sample.target.numpy() * SIZE - 0.5, points.points, atol=1e-3)


# --- appearance ---------------------------------------------------------------------------------------------------


def chequered() -> NDArray[np.uint8]:
    """Large squares of two greys on black, as a picture with edges everywhere."""
    rows, columns = np.indices((SIZE, SIZE)) // 32
    inside = np.zeros((SIZE, SIZE), bool)
    inside[32:-32, 32:-32] = True
    return np.where(inside, np.where((rows + columns) % 2 == 0, 60, 180), 0).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_scanner_effects_move_nothing(seed: int, coloured: bool) -> None:
    """Squares stay where they are: bright ones stay brighter than their neighbours, and black stays black."""
    before = chequered()
    picture = np.repeat(before[..., None], 3, axis=2) if coloured else before
    after = scanner_effects(picture, np.random.default_rng(seed), 1.0)
    assert after.shape == picture.shape
    assert after.dtype == np.uint8
    grey = after if after.ndim == 2 else after[..., 0]
    assert grey[:24].max() == 0, "black stays black, but for the blur of an edge"
    # Along the edge between two squares of a column, the step is where it was; shadows take both sides alike.
    steps = np.abs(np.diff(grey[32:-32, 40:56].astype(float).mean(axis=1)))
    edges = {int(np.argsort(steps)[-1 - i]) for i in range(3)}
    assert all(min(abs(edge + 1 - 32 * k) for k in range(1, 6)) <= 2 for edge in edges)


def test_effects_do_what_they_say() -> None:
    picture = np.full((SIZE, SIZE), 128, np.uint8)
    rng = np.random.default_rng(3)
    assert np.ptp(np.log(depth_gain(rng, 1.0)), axis=0).max() > 0.05
    wedge = shadows(rng, 1.0)
    assert wedge.max() <= 1
    assert 0 < wedge.min() < 0.8
    pressed = jpeg(chequered(), rng)
    assert pressed.shape == picture.shape
    assert 0 < np.abs(pressed.astype(int) - chequered()).mean() < 12
    coloured = tint(picture, rng, 1.0)
    assert len(set(coloured[0, 0].tolist())) > 1
    marked = screen_marks(np.zeros((SIZE, SIZE), np.uint8), rng)
    assert 0 < (marked.reshape(SIZE, SIZE, -1).max(axis=2) > 0).mean() < 0.05


@settings(max_examples=60, deadline=None)
@given(seeds, places)
def test_the_fan_never_hides_a_label(seed: int, place: tuple[float, float]) -> None:
    picture = np.full((SIZE, SIZE), 200, np.uint8)
    shape = disc(*place, 30)
    by_mask = field_of_view(picture, np.random.default_rng(seed), None, [shape.astype(np.uint8)])
    assert (by_mask[shape] == 200).all()
    corner = np.array([[place[0] + 0.5, place[1] + 0.5]]) / SIZE
    by_point = field_of_view(picture, np.random.default_rng(seed), corner)
    assert by_point[int(place[0] + 0.5), int(place[1] + 0.5)] == 200


def test_the_fan_hides_what_lies_outside_it() -> None:
    picture = np.full((SIZE, SIZE), 200, np.uint8)
    fans = [field_of_view(picture, np.random.default_rng(seed)) for seed in range(8)]
    assert all(fan[0, 0] == 0 and fan[0, -1] == 0 and fan[SIZE // 2, SIZE // 2] == 200 for fan in fans)


@example(seed=5)
@settings(max_examples=15, deadline=None)
@given(seeds)
def test_appearance_changes_no_label(seed: int) -> None:
    shape = disc(120, 130, 30)
    values: dict[str, Value] = {
        "segmentation": Mask(shape.astype(np.uint8)),
        "detection": Box(*extent(shape).tolist()),
        "regression": Keypoints(np.array([[120.0, 130.0], [90.0, 130.0]])),
        "classification": ClassProbabilities.certain(0, 2),
    }
    box = Letterbox(SIZE, SIZE, 320)
    pixels = pixels_of(box.image_in(frame_of(shape)))
    made = [
        SampleMaker(TASKS, SIZE, Augmentation(1.0, how)).group(
            pixels, place_together(list(values.values()), box), list(values), seed
        )
        for how in (0.0, 1.0)
    ]
    for plain, strong in zip(made[0].targets, made[1].targets, strict=True):
        assert torch.equal(plain, strong)


# --- loading ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> LabelledFrames:
    """Eight pictures with four labels each; one of them twice, under two names."""
    root = make_root(tmp_path_factory.mktemp("grouped") / "root")
    images = root / "Data" / "images"
    (images / "copy.png").write_bytes((images / "3.png").read_bytes())
    table = root / "csv_files" / "classification.csv"
    table.write_text(table.read_text().replace("/3.png", "/copy.png"))
    rows = read_root(root)
    return LabelledFrames(rows, tasks_of(rows, builtin_tasks()), 64)


def test_rows_are_found_by_image(frames: LabelledFrames) -> None:
    groups = list(frames.rows_by_image.values())
    assert len(groups) == 8, "a picture under two names is one picture"
    assert all(len({frames.rows[index].task_id for index in group}) == len(group) == 4 for group in groups)
    assert sorted(index for group in groups for index in group) == list(range(32))


def test_a_group_without_augmentation_equals_its_rows_one_by_one(frames: LabelledFrames) -> None:
    for group in frames.rows_by_image.values():
        together = frames.group(GroupKey(tuple(group), None))
        for index, target in zip(group, together.targets, strict=True):
            alone = frames[SampleKey(index, None)]
            assert torch.equal(alone.image, together.image)
            torch.testing.assert_close(alone.target, target, atol=1 / 64, rtol=0)


def test_an_image_without_augmentation_is_placed_as_for_a_prediction(frames: LabelledFrames) -> None:
    row = frames.rows[0]
    assert isinstance(row, Row)
    picture = load_image(row.image)
    box = Letterbox(*picture.shape[:2], 64)
    value = label_value(row)
    sample = frames[SampleKey(0, None)]
    assert torch.equal(sample.image, box.image_in(picture))
    if isinstance(value, ClassProbabilities):
        assert int(sample.target) == value.index


def groups_in_batches(frames: LabelledFrames, workers: int) -> list[GroupSample]:
    rng = np.random.default_rng(5)
    keys = [GroupKey(tuple(rows), int(rng.integers(2**62))) for rows in frames.rows_by_image.values()]
    batches = [keys[:4], keys[4:], keys[2:6]]
    loader = DataLoader(GroupedFrames(frames), batch_sampler=batches, num_workers=workers, collate_fn=collate_groups)
    return list(loader)


def test_the_number_of_workers_changes_nothing(frames: LabelledFrames) -> None:
    alone, helped = groups_in_batches(frames, 0), groups_in_batches(frames, 2)
    for one, other in zip(alone, helped, strict=True):
        assert one.image.shape == (4, 3, 64, 64)
        assert torch.equal(one.image, other.image)
        for mine, theirs in zip(one.targets, other.targets, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("cache_bytes", [0, 20_000, 2**30])
def test_the_cache_changes_nothing(frames: LabelledFrames, cache_bytes: int, tmp_path: Path) -> None:
    cached = LabelledFrames(frames.rows, frames.tasks, 64, cache_bytes)
    for _ in range(2):
        for index in range(0, 32, 3):
            one, other = frames[SampleKey(index, 11)], cached[SampleKey(index, 11)]
            assert torch.equal(one.image, other.image)
            torch.testing.assert_close(one.target, other.target, rtol=0, atol=0, equal_nan=True)
