"""The prediction files that the challenge's scorer reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from m2dino.data.fmuia import read_root
from m2dino.data.fmuia_output import (
    OutputReader,
    OutputWriter,
    check_apart,
    check_nothing_labelled,
    mask_file,
)
from m2dino.data.own_tasks import tasks_of
from m2dino.data.row_values import label_value
from m2dino.errors import DatasetError, M2DinoError, MissingFileError, UsageError
from m2dino.metrics import score_task
from m2dino.tasks import builtin_tasks
from m2dino.values import ClassProbabilities
from PIL import Image


def test_labels_written_as_predictions_score_perfectly_after_reading_back(dataset: Path, tmp_path: Path) -> None:
    rows = read_root(dataset)
    with OutputWriter(tmp_path / "out") as writer:
        for row in rows:
            writer.add(row, label_value(row))
    reader = OutputReader(tmp_path / "out")
    perfect = {"DSC": 1, "HD": 0, "Accuracy": 1, "F1_macro": 1, "MCC": 1, "AUC": 1, "IoU": 1, "MRE": 0}
    seen = set()
    for task_id, task in tasks_of(rows, builtin_tasks()).items():
        own = [row for row in rows if row.task_id == task_id]
        scores = score_task(task, (reader.value(r) for r in own), (label_value(r) for r in own), [r.group for r in own])
        for name, metric in scores.items():
            if name in perfect:
                seen.add(name)
                assert metric.value == perfect[name], name
    assert seen == set(perfect)


def test_the_files_are_what_the_scorer_looks_for(dataset: Path, tmp_path: Path) -> None:
    rows = {row.type: row for row in read_root(dataset) if "slice_2" in row.image_path}
    with OutputWriter(tmp_path) as writer:
        for row in rows.values():
            value = label_value(row)
            if isinstance(value, ClassProbabilities):
                value = ClassProbabilities(np.array([0.2, 0.3, 0.5]))
            writer.add(row, value)
    mask = Image.open(tmp_path / "Segmentation" / "Two" / "CCAUS" / "masks" / "rec2_slice_2.png")
    assert (mask.mode, mask.size) == ("L", (709, 749))
    kinds = ("classification", "detection", "regression")
    read = {kind: json.loads((tmp_path / f"{kind}_predictions.json").read_text()) for kind in kinds}
    assert all(entry[0]["image_path"] == rows["detection"].image_path for entry in read.values())
    assert read["classification"][0]["predicted_class"] == 2
    assert sum(read["classification"][0]["predicted_probs"]) == pytest.approx(1)
    assert read["detection"][0]["bbox_pixels"] == [12, 20, 110, 95.5]
    assert read["detection"][0]["bbox_normalized"] == pytest.approx([12 / 709, 20 / 749, 110 / 709, 95.5 / 749])
    assert read["regression"][0]["predicted_points_pixels"] == [32.5, 40, 0, 0]
    assert read["regression"][0]["predicted_points_normalized"] == pytest.approx([32.5 / 709, 40 / 749, 0, 0])


def test_what_is_not_there_is_none_and_what_is_damaged_is_named(dataset: Path, tmp_path: Path) -> None:
    rows = {row.type: row for row in read_root(dataset)}
    with pytest.raises(MissingFileError):
        OutputReader(tmp_path / "nowhere")
    (tmp_path / "out").mkdir()
    assert all(OutputReader(tmp_path / "out").value(row) is None for row in rows.values())
    path = tmp_path / "out" / "detection_predictions.json"
    path.write_text('[{"image_path": "x"}]')
    with pytest.raises(DatasetError, match="detection_predictions"):
        OutputReader(tmp_path / "out")
    row = rows["detection"]
    for box in ([1, 2, 3], [1, 2, float("nan"), 3], "wide"):
        path.write_text(json.dumps([{"image_path": row.image_path, "task_id": row.task_id, "bbox_pixels": box}]))
        with pytest.raises(DatasetError, match="detection_predictions"):
            OutputReader(tmp_path / "out").value(row)


def test_points_that_are_nowhere_are_named(dataset: Path, tmp_path: Path) -> None:
    row = next(row for row in read_root(dataset) if row.type == "regression")
    entry = {"image_path": row.image_path, "task_id": row.task_id}
    for points in ([1, 2, float("nan"), 3], [1, 2, float("inf"), 3], [1, 2], None):
        text = json.dumps([{**entry, "predicted_points_pixels": points}])
        (tmp_path / "regression_predictions.json").write_text(text)
        with pytest.raises(DatasetError, match="regression_predictions"):
            OutputReader(tmp_path).value(row)


def test_a_run_that_breaks_writes_no_half_list(dataset: Path, tmp_path: Path) -> None:
    row = read_root(dataset, ["lumen_det"])[0]

    def broken() -> None:
        with OutputWriter(tmp_path / "out") as writer:
            writer.add(row, label_value(row))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_a_users_error(dataset: Path, tmp_path: Path) -> None:
    row = read_root(dataset, ["carotid_artery"])[0]
    (tmp_path / "file").write_text("in the way")
    writer = OutputWriter(tmp_path / "file")
    with pytest.raises(M2DinoError, match="cannot be written"):
        writer.add(row, label_value(row))


@pytest.mark.parametrize("kind", ["segmentation", "regression"])
def test_two_data_sets_never_write_to_the_same_place(dataset: Path, tmp_path: Path, kind: str) -> None:
    other = Path(shutil.copytree(dataset, tmp_path / "val"))
    rows = [row for row in read_root(dataset) if row.type == kind]
    others = [row for row in read_root(other) if row.type == kind]
    check_apart([*rows, *rows])
    check_apart([*rows[:3], *others[3:]])
    with pytest.raises(UsageError, match="a folder of its own") as caught:
        check_apart([*rows[:3], *others[2:]])
    for row in (rows[2], others[2]):
        assert f"{row.csv}, line {row.line}" in str(caught.value)


def test_predictions_of_several_checkpoints_add_up_and_those_of_a_task_are_of_the_last_run_alone(
    dataset: Path, tmp_path: Path
) -> None:
    rows, out = read_root(dataset), tmp_path / "out"
    tasks = list(dict.fromkeys(row.task_id for row in rows))
    assert len(tasks) > 2
    for task in (*tasks, tasks[0]):
        own = [row for row in rows if row.task_id == task]
        with OutputWriter(out, own) as writer:
            for row in own:
                writer.add(row, label_value(row))
        assert task not in writer.others
    reader = OutputReader(out)
    assert all(reader.value(row) is not None for row in rows)
    assert reader.repeated == 0


def test_a_folder_holds_the_predictions_of_the_last_run_alone(dataset: Path, tmp_path: Path) -> None:
    """Else an evaluation would score a mix of two models."""
    rows, out = read_root(dataset), tmp_path / "out"
    with OutputWriter(out, rows) as writer:
        for row in rows:
            writer.add(row, label_value(row))
    (out / "notes.txt").write_text("of a person")
    masks = [row for row in rows if row.type == "segmentation"]
    for _ in range(2):
        with OutputWriter(out, rows) as writer:
            for row in masks[:2]:
                writer.add(row, label_value(row))
        there = sorted(path for path in out.rglob("*") if path.is_file())
        assert there == sorted([*(mask_file(out, row) for row in masks[:2]), out / "notes.txt"])
    reader = OutputReader(out)
    assert [reader.value(row) is not None for row in rows] == [row in masks[:2] for row in rows]


def test_what_a_run_that_breaks_finds_stays(dataset: Path, tmp_path: Path) -> None:
    rows, out = read_root(dataset), tmp_path / "out"
    with OutputWriter(out, rows) as writer:
        for row in rows:
            writer.add(row, label_value(row))
    before = sorted(out.rglob("*"))

    def broken() -> None:
        with OutputWriter(out, rows):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert sorted(out.rglob("*")) == before


def test_no_labelled_mask_is_predicted_over(dataset: Path, tmp_path: Path) -> None:
    rows = read_root(dataset, labels=False)
    check_nothing_labelled(tmp_path / "out", rows)
    with pytest.raises(UsageError, match="a folder of their own"):
        check_nothing_labelled(dataset / ".." / dataset.name, rows)


def test_labels_are_never_taken_for_predictions_of_an_earlier_run(dataset: Path) -> None:
    """Whoever names the data's own folder for the output does not lose what is labelled there."""
    rows = read_root(dataset)
    before = sorted(dataset.rglob("*"))
    with OutputWriter(dataset, rows):
        pass
    assert sorted(dataset.rglob("*")) == before
