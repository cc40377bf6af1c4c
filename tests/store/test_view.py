"""The FM_UIA view of a store is always what the challenge's code can read, and says what the records say."""

from __future__ import annotations

import csv
import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.fmuia import Row, check_root, load_image, read_root
from m2dino.data.row_values import label_value
from m2dino.data.store import Store
from m2dino.data.store_export import export_view
from m2dino.data.store_import import import_rows
from m2dino.data.value_files import mask_name, png_bytes
from m2dino.errors import StoreError, UsageError

KINDS = ("segmentation", "classification", "detection", "regression")
COMMON = ["image_path", "task_id", "task_name", "num_classes"]
OURS = ["loop_id", "frame", "fate", "group"]


def shown(store: Store) -> dict[tuple[str, int], Row]:
    """Return the rows of the view by (task, frame), after making sure that it is sound."""
    assert store.check() == []
    if not any((store.folder / "csv_files").glob("*.csv")):
        return {}
    return {(row.task_id, int(row.image.stem.rsplit("_", 1)[1])): row for row in read_root(store.folder)}


@pytest.mark.parametrize(
    ("kind", "name", "columns", "cells"),
    [
        ("segmentation", "Seg-Two_1.carotid_artery.csv", ["mask_path"], None),
        ("classification", "Cls-Three_1.view_cls.csv", ["mask"], ["2"]),
        ("detection", "Det-One_1.lumen_det.csv", ["x_min", "y_min", "x_max", "y_max"], ["4", "1", "50", "30.5"]),
        (
            "regression",
            "Reg-Three_1.lumen_points.csv",
            ["point_1_xy", "point_2_xy", "point_3_xy"],
            ["[2.25, 2]", "", "[8, 7]"],
        ),
    ],
)
def test_tables_have_the_official_names_and_columns(
    case: Any, store: Store, kind: str, name: str, columns: list[str], cells: list[str] | None
) -> None:
    store.save(case.record(kind, 2, group="subject 7"), case.frames[2], case.tasks[kind])
    with (store.folder / "csv_files" / name).open(newline="") as stream:
        header, line = csv.reader(stream)
    assert header == [*COMMON, *columns, *OURS]
    assert line[:4] == [
        line[0],
        case.tasks[kind].id,
        "Regression" if kind == "regression" else kind,
        str(case.tasks[kind].num_classes),
    ]
    assert cells is None or line[4 : 4 + len(cells)] == cells
    assert line[-4:] == [case.loop, "2", "edited", "subject 7"]
    row = shown(store)[case.tasks[kind].id, 2]
    assert label_value(row) == case.record(kind, 2).value
    assert np.array_equal(load_image(row.image), case.frames[2])


def test_the_view_follows_every_change(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    for frame in range(4):
        store.save(case.record("segmentation", frame, "accepted"), case.frames[frame], task)
    assert set(shown(store)) == {(task.id, frame) for frame in range(4)}
    store.save(replace(case.record("segmentation", 1, "accepted"), value=case.masks[7]))
    assert label_value(shown(store)[task.id, 1]) == case.masks[7]
    store.save(case.record("segmentation", 2, "rejected"))
    store.withdraw(case.loop, 3, task.id)
    store.save(case.record("segmentation", 5, interpolated=True), case.frames[5])
    assert set(shown(store)) == {(task.id, 0), (task.id, 1)}
    pictures = store.folder / "Segmentation" / "Two" / task.id
    assert sorted(len(list((pictures / part).iterdir())) for part in ("images", "masks")) == [2, 2]
    store.save(case.record("segmentation", 2, "edited"))
    assert set(shown(store)) == {(task.id, 0), (task.id, 1), (task.id, 2)}
    for frame in range(3):
        store.withdraw(case.loop, frame, task.id)
    assert shown(store) == {}


def test_tasks_side_by_side(case: Any, store: Store) -> None:
    for kind in KINDS:
        for frame in range(3):
            store.save(case.record(kind, frame), case.frames[frame], case.tasks[kind])
    rows = shown(store)
    assert len(rows) == 12
    for kind in KINDS:
        for frame in range(3):
            assert label_value(rows[case.tasks[kind].id, frame]) == case.record(kind, frame).value


@pytest.mark.parametrize("harm", ["remove", "cut", "add", "everything"])
def test_a_view_that_was_meddled_with_is_mended_on_opening(case: Any, tmp_path: Path, harm: str) -> None:
    task = case.tasks["segmentation"]
    folder = tmp_path / "s"
    with Store.open(folder, create=True) as store:
        for frame in range(3):
            store.save(case.record("segmentation", frame), case.frames[frame], task)
    table = next((folder / "csv_files").iterdir())
    if harm == "remove":
        table.unlink()
    elif harm == "cut":
        table.write_bytes(table.read_bytes()[:-20])
    elif harm == "add":
        table.write_bytes(table.read_bytes() + b"../half a li")
    else:
        shutil.rmtree(folder / "csv_files")
        shutil.rmtree(folder / "Segmentation")
    with Store.open(folder) as store:
        assert len(shown(store)) == 3


def test_rebuilding_removes_what_does_not_belong(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    store.save(case.record("segmentation", 0), case.frames[0], task)
    files = store.folder / "Segmentation" / "Two" / task.id / "images"
    shutil.copy(next(files.iterdir()), files / "stray.png")
    stale = store.folder / "csv_files" / "Seg-Two_9.old.csv"
    shutil.copy(next((store.folder / "csv_files").iterdir()), stale)
    mine = store.folder / "csv_files" / "notes.txt"
    mine.write_text("of the user")
    store.rebuild_view()
    assert len(list(files.iterdir())) == 1
    assert not stale.exists()
    assert mine.exists()
    assert len(shown(store)) == 1


def test_a_disk_without_hard_links_gets_copies(case: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    task = case.tasks["segmentation"]
    store.save(case.record("segmentation", 0), case.frames[0], task)
    store.save(replace(case.record("segmentation", 0), value=case.masks[3]))
    row = shown(store)[task.id, 0]
    assert label_value(row) == case.masks[3]
    assert row.image.stat().st_nlink == 1


def test_a_mask_edited_in_the_view_changes_no_record(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    for frame in range(3):
        store.save(replace(case.record("segmentation", frame), value=case.masks[0]), case.frames[frame], task)
    edited, *others = sorted((store.folder / "Segmentation").rglob("masks/*.png"))
    before = [other.read_bytes() for other in others]
    edited.write_bytes(png_bytes(case.masks[5].labels))
    assert [other.read_bytes() for other in others] == before
    assert {record.frame: record.value for record in store.records()} == dict.fromkeys(range(3), case.masks[0])
    store.rebuild_view()
    assert label_value(shown(store)[task.id, 0]) == case.masks[0]


def test_masks_that_an_earlier_version_linked_are_told_and_parted(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    for frame in range(3):
        store.save(replace(case.record("segmentation", frame), value=case.masks[0]), case.frames[frame], task)
    value = store.folder / "values" / mask_name(case.masks[0].labels)
    masks = next((store.folder / "Segmentation").rglob("masks"))
    for mask in list(masks.iterdir()):
        mask.unlink()
        os.link(value, mask)
    (problem,) = store.check()
    assert (problem.file, problem.level) == (masks, "warning")
    assert "3 masks share" in problem.text
    store.rebuild_view()
    assert store.check() == []
    assert [mask.stat().st_nlink for mask in masks.iterdir()] == [1, 1, 1]


def test_a_mask_that_was_changed_behind_its_records_is_told(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    for frame in range(2):
        store.save(case.record("segmentation", frame), case.frames[frame], task)
    changed = store.folder / "values" / mask_name(case.masks[1].labels)
    good = changed.read_bytes()
    changed.write_bytes(png_bytes(case.masks[5].labels))
    (problem,) = store.check()
    assert (problem.file, problem.level) == (changed, "error")
    assert "was changed after it was saved" in problem.text
    changed.write_bytes(good)
    assert store.check() == []


def test_an_export_stands_alone_and_comes_back_the_same(case: Any, store: Store, tmp_path: Path) -> None:
    for kind in KINDS:
        for frame in range(3):
            store.save(case.record(kind, frame, group="subject 1"), case.frames[frame], case.tasks[kind])
    assert export_view(store, tmp_path / "out") == 4
    shutil.rmtree(store.folder)
    assert check_root(tmp_path / "out") == []
    rows = read_root(tmp_path / "out")
    with Store.open(tmp_path / "again", create=True) as again:
        for kind in KINDS:
            own = [row for row in rows if row.type == kind]
            done = import_rows(again, own, case.tasks[kind])
            assert (done.saved, done.known, done.repeated) == (3, 0, 0)
            assert import_rows(again, own, case.tasks[kind]).known == 3
            values = [record.value for record in again.records(case.tasks[kind].id)]
            for frame in range(3):
                assert case.record(kind, frame).value in values
        records = again.records()
        assert {record.fate for record in records} == {"accepted"}
        assert len({record.group for record in records}) == 1
        assert "subject" not in records[0].group
        assert again.check() == []


def test_an_export_never_overwrites(case: Any, store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(StoreError, match="no accepted"):
        export_view(store, target)
    store.save(case.record("detection", 0), case.frames[0], case.tasks["detection"])
    target.mkdir()
    (target / "mine.txt").write_text("of the user")
    with pytest.raises(UsageError, match="there already"):
        export_view(store, target)
    assert [file.name for file in target.iterdir()] == ["mine.txt"]
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
