"""A split is honest over all tasks at once, reproducible, and fair to small tasks."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from m2dino.data.fmuia import Row, read_root
from m2dino.data.grouping import subject_of
from m2dino.data.splits import split, subjects
from m2dino.errors import MissingFileError


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("202201121748100022VAS_slice_1069.jpg", "recording:202201121748100022vas"),
        ("Patient00042_Plane3_2_of_5.png", "patient:00042"),
        ("patient0042_4CH_ED.png", "patient:0042"),
        ("010_HC.png", "hc18:010"),
        ("010_2HC.png", "hc18:010"),
        ("241017091831.zhc_80.jpg", "recording:241017091831.zhc"),
        ("241017091831.zhc_81.jpg", "recording:241017091831.zhc"),
        ("benign_1.jpg", None),
        ("img_00002.jpg", None),
        ("2-benign_0817-s.jpg", None),
        ("0001.png", None),
    ],
)
def test_file_names_tell_subjects(name: str, subject: str | None) -> None:
    assert subject_of(PurePath("anywhere") / name) == subject


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 files, of which every fifth has the bytes of the one before."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(40):
        (folder / f"{index}.png").write_bytes(f"content {index - (index % 5 == 4)}".encode())
    return folder


def row(root: Path, task: str, image: int, group: int | None) -> Row:
    path = root / f"{image}.png"
    subject = None if group is None else f"g{group}"
    return Row(task, "detection", 1, path, f"../{path.name}", None, None, None, root / "t.csv", 2, None, root, subject)


table = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 39), st.none() | st.integers(0, 12)), min_size=1, max_size=60
)


@given(table, st.floats(0.05, 0.6), st.integers(0, 9))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_straddles_and_every_task_validates(
    pictures: Path, entries: list[tuple[str, int, int | None]], fraction: float, seed: int
) -> None:
    rows = [row(pictures, *entry) for entry in entries]
    train, val = split(rows, fraction, seed)
    assert sorted(map(id, train + val)) == sorted(map(id, rows))
    assert train
    assert not {r.image for r in train} & {r.image for r in val}
    assert not {r.image.read_bytes() for r in train} & {r.image.read_bytes() for r in val}
    assert not {r.group for r in train} & {r.group for r in val}
    own = defaultdict(set)
    for r, key in zip(rows, subjects(rows), strict=True):
        own[r.task_id].add(key)
    for task, keys in own.items():
        if len(keys) > 1:
            assert any(r.task_id == task for r in val), task
    assert (train, val) == split(rows, fraction, seed)


@given(table, st.integers(0, 9))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_rows_does_not_matter(
    pictures: Path, entries: list[tuple[str, int, int | None]], seed: int
) -> None:
    rows = [row(pictures, *entry) for entry in entries]
    forth, back = split(rows, 0.25, seed), split(rows[::-1], 0.25, seed)
    assert {id(r) for r in forth[1]} == {id(r) for r in back[1]}


def test_adding_rows_moves_few_subjects_and_another_seed_moves_many(tmp_path: Path) -> None:
    rows = [row(tmp_path, "a", i, i) for i in range(400)]
    for r in rows:
        r.image.write_bytes(str(r.image).encode())
    before = {r.group for r in split(rows[:300], 0.2, 0)[1]}
    after = {r.group for r in split(rows, 0.2, 0)[1]}
    assert before <= after
    assert 0.13 < len(after) / 400 < 0.27
    other = {r.group for r in split(rows, 0.2, 1)[1]}
    assert len(other & after) < len(after) / 2


def test_a_small_task_keeps_most_of_its_subjects_for_training(tmp_path: Path) -> None:
    rows = [row(tmp_path, "a", i, i) for i in range(8)]
    for r in rows:
        r.image.write_bytes(str(r.image).encode())
    for seed in range(40):
        train, val = split(rows, 0.2, seed)
        assert 1 <= len(val) <= 3
        assert len(train) >= 5


def test_a_task_of_one_subject_is_trained_on(tmp_path: Path) -> None:
    rows = [row(tmp_path, "a", i, 0) for i in range(3)] + [row(tmp_path, "b", i, i) for i in range(3, 9)]
    for r in rows:
        r.image.write_bytes(str(r.image).encode())
    for seed in range(20):
        assert sum(r.task_id == "a" for r in split(rows, 0.5, seed)[0]) == 3


def test_the_tasks_of_one_recording_go_together(dataset: Path) -> None:
    rows = read_root(dataset)
    train, val = split(rows, 0.3, 0)
    assert {r.group for r in train}.isdisjoint({r.group for r in val})
    assert {r.task_id for r in val} == {r.task_id for r in train} == {r.task_id for r in rows}


def test_an_image_that_has_gone_is_named(dataset: Path) -> None:
    rows = read_root(dataset)
    rows[0].image.unlink()
    with pytest.raises(MissingFileError, match="slice_0"):
        split(rows, 0.3, 0)


def test_a_fraction_that_makes_no_sense_is_refused(dataset: Any) -> None:
    with pytest.raises(ValueError, match="val_fraction"):
        split(read_root(dataset), 1.0, 0)


def test_the_same_path_in_another_root_is_another_image(tmp_path: Path) -> None:
    """Unless the bytes say otherwise; a subject that a column names is one wherever its images lie."""
    rows = []
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        for image in (1, 2):
            (tmp_path / name / f"{image}.png").write_bytes(b"both" if image == 2 else name.encode())
        rows += [
            row(tmp_path / name, "a", 1, None),
            row(tmp_path / name, "a", 2, None),
            row(tmp_path / name, "a", 1, 7),
        ]
    one, both, seven, other, both_again, seven_again = subjects(rows)
    assert both == both_again
    assert seven == seven_again
    assert one == seven, "the same file"
    alone = subjects([rows[0], rows[3]])
    assert alone[0] != alone[1]
    assert alone[0] == subjects([rows[0]])[0], "the first root's keep their names"
    assert other == seven_again


def test_the_split_does_not_depend_on_the_order_of_the_roots_nor_on_one_more_in_front(tmp_path: Path) -> None:
    """Else a model made from an earlier one would be measured on what that one has trained on."""
    roots = {}
    for name in ("one", "two", "more"):
        (tmp_path / name).mkdir()
        roots[name] = [row(tmp_path / name, "a", image, None) for image in range(60)]
        for each in roots[name]:
            each.image.write_bytes(str(each.image).encode())

    def held(*names: str) -> set[Path]:
        return {each.image for each in split([each for name in names for each in roots[name]], 0.2, 0)[1]}

    first = held("one", "two")
    assert 12 < len(first) < 36
    assert held("two", "one") == first
    assert {image for image in held("more", "one", "two") if image.parent.name != "more"} == first
    assert held("one") | held("two") == first
