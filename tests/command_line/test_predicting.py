"""`m2dino predict`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import m2dino as engine
import numpy as np
import pytest
from m2dino.values import Box, Mask
from PIL import Image

from tests.command_line.conftest import assert_one_sentence, done, m2dino
from tests.in_process import Run
from tests.synthetic import HEIGHT, TASKS, WIDTH
from tests.tables import read_table, write_table


def predicted(
    loop: Path, kind: str, checkpoint: Path, out: Path, *more: object, run: Run = m2dino
) -> tuple[Path, dict[str, object]]:
    words = ("predict", loop, "--task", TASKS[kind], "--checkpoint", checkpoint, "--device", "cpu", "-o", out, *more)
    folder = Path(done(*words, run=run).strip())
    return folder, json.loads((folder / "predictions.json").read_text(encoding="utf-8"))


def test_masks_are_written_beside_their_list(loop: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder, about = predicted(loop, "segmentation", checkpoint, tmp_path / "out", "--frames", "1:3")
    opened = engine.open_loop(loop)
    assert folder.parent == tmp_path / "out"
    assert folder.name == f"{opened.identity[:16]}_{TASKS['segmentation']}"
    assert (about["loop"], about["height"], about["width"]) == (opened.identity, HEIGHT, WIDTH)
    assert about["mm_per_px"] is None
    assert about["labels"] == ["background", "lumen"]
    entries = about["predictions"]
    assert isinstance(entries, list)
    assert [entry["frame"] for entry in entries] == [1, 2]
    model = engine.load_model(checkpoint, "cpu")
    assert about["model"] == model.id
    for entry, expected in zip(
        entries, engine.predict(opened, TASKS["segmentation"], model, frames=[1, 2]), strict=True
    ):
        labels = np.asarray(Image.open(folder / entry["mask"]))
        assert labels.dtype == np.uint8
        assert Mask(labels) == expected.value
        assert entry["confidence"] == pytest.approx(expected.confidence, abs=1e-4)
    assert sorted(path.name for path in folder.iterdir()) == [
        "mask_000001.png",
        "mask_000002.png",
        "predictions.json",
    ]


def test_masks_of_an_earlier_run_go(loop: Path, checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    """Whoever reads the pictures alone would take them for the last model's."""
    for frames, left in (("0:3", (0, 1, 2)), ("1:2", (1,))):
        folder, _ = predicted(loop, "segmentation", checkpoint, tmp_path / "out", "--frames", frames, run=inside)
        (folder / "notes.png").write_bytes(b"of a person")
        masks = [f"mask_{frame:06d}.png" for frame in left]
        assert sorted(path.name for path in folder.iterdir()) == [*masks, "notes.png", "predictions.json"]


@pytest.mark.parametrize("kind", ["classification", "detection", "regression"])
def test_other_values_are_in_the_list(kind: str, loop: Path, checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    folder, about = predicted(loop, kind, checkpoint, tmp_path / "out", run=inside)
    entries = about["predictions"]
    assert isinstance(entries, list)
    assert [entry["frame"] for entry in entries] == [0, 1, 2, 3]
    for entry in entries:
        if kind == "classification":
            assert entry["class"] == ["benign", "malignant"][entry["index"]]
            assert sum(entry["probabilities"]) == pytest.approx(1)
        elif kind == "detection":
            y_min, x_min, y_max, x_max = Box(*entry["box"]).as_tuple()
            assert 0 <= y_min <= y_max <= HEIGHT
            assert 0 <= x_min <= x_max <= WIDTH
        else:
            assert set(entry["points"]) == {"internal os", "external os"}
            assert all(len(point) == 2 for point in entry["points"].values())
    assert [path.name for path in folder.iterdir()] == ["predictions.json"]


def test_a_region_of_the_frame_can_be_chosen(loop: Path, checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    def labels(*more: str) -> np.ndarray:
        out = tmp_path / "-".join(more)
        folder, about = predicted(loop, "segmentation", checkpoint, out, "--frames", "0", *more, run=inside)
        assert about["region"] == ([int(edge) for edge in more[1].split(",")] if "," in more[1] else None)
        return np.asarray(Image.open(folder / "mask_000000.png"))

    assert np.array_equal(labels("--region", "whole"), labels("--region", "auto")), "pictures name no region"
    part = labels("--region", f"4,6,{HEIGHT - 8},{WIDTH - 10}")
    assert part.shape == (HEIGHT, WIDTH)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[4 : HEIGHT - 8, 6 : WIDTH - 10] = False
    assert not part[outside].any()
    words = ("predict", loop, "--task", TASKS["segmentation"], "--checkpoint", checkpoint, "-o", tmp_path / "no")
    for wrong, told in (
        ("left", "auto, whole"),
        ("1,2,3", "four whole numbers"),
        ("0,0,9999,9999", "inside the frame"),
    ):
        assert_one_sentence(inside(*words, "--region", wrong), told)
    assert not (tmp_path / "no").exists(), "nothing is begun that cannot be done"


def test_no_name_of_a_file_gets_about(loop: Path, checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    folder, _ = predicted(loop, "detection", checkpoint, tmp_path / "out", run=inside)
    assert "DOE" not in (folder / "predictions.json").read_text(encoding="utf-8")
    assert "DOE" not in folder.name


def test_mistakes_are_answered_in_one_sentence(
    loop: Path, root: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    out, text = tmp_path / "out", tmp_path / "text.txt"
    text.write_text("not a loop")
    known = ("--checkpoint", checkpoint, "--device", "cpu", "-o", out)
    segment = ("--task", TASKS["segmentation"], *known)
    for words, says in (
        (("predict", loop, *known), ("--task",)),
        (("predict", loop, "--task", "organ_cls", *known), ("never trained", "organ_cls")),
        (("predict", tmp_path / "none.dcm", *segment), ("none.dcm",)),
        (("predict", text, *segment), ("text.txt",)),
        (("predict", loop, *segment, "--frames", "9:"), ("--frames 9:", "0 to 3")),
        (("predict", loop, *segment, "--frames", "a:b"), ("--frames a:b",)),
        (("predict", loop, "--task", "lung", "--checkpoint", text, "-o", out), ("text.txt",)),
        (("predict", "--fmuia", root, "--task", "lung", *known), ("--fmuia alone",)),
        (("predict", "--fmuia", root, "--frames", "0:2", *known), ("--frames", "whole")),
        (("predict", "--fmuia", root, *known[:-1], root), ("labelled", "a folder of their own")),
        (("predict", "--fmuia", tmp_path, *known), ("csv_files",)),
    ):
        assert_one_sentence(inside(*words), *says)
    assert_one_sentence(m2dino("predict", loop, "--task", "organ_cls", *known), "never trained")
    assert not out.exists()
    assert not list(root.glob("*.json"))


def test_a_damaged_image_costs_its_own_predictions_alone(
    root: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    hurt, out = Path(shutil.copytree(root, tmp_path / "root")), tmp_path / "out"
    common = ("--checkpoint", checkpoint, "--device", "cpu")
    for index in (0, 5):
        path = hurt / "Data" / "images" / f"{index}.png"
        path.write_bytes(path.read_bytes()[:60])
    result = inside("predict", "--fmuia", hurt, *common, "-o", out)
    assert (result.returncode, result.stdout) == (1, f"{out}: 24 predictions\n")
    *named, last = result.stderr.splitlines()
    for task in TASKS.values():
        for index in (0, 5):
            assert any(f"left out of {task}: " in line and f"{index}.png" in line for line in named), named
    assert len(named) == 8
    assert last.endswith("8 of 32.")
    entries = json.loads((out / "regression_predictions.json").read_text(encoding="utf-8"))
    assert [entry["image_path"] for entry in entries] == [f"../Data/images/{index}.png" for index in (1, 2, 3, 4, 6, 7)]
    assert len(list((out / "Data" / "masks").iterdir())) == 6
    assert_one_sentence(inside("evaluate", hurt, *common), "0.png", "damaged")


def test_an_image_that_is_not_there_and_a_label_that_cannot_be_read_cost_nothing_else(
    root: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    """Labels are not needed to predict: hidden ones may hold anything. So may rows of tasks that nobody asks for."""
    hurt, out = Path(shutil.copytree(root, tmp_path / "root")), tmp_path / "out"
    (hurt / "Data" / "images" / "3.png").unlink()
    for kind, columns in (("detection", ("x_min", "y_min")), ("regression", ("point_1_xy",)), ("classification", ())):
        table = hurt / "csv_files" / f"{kind}.csv"
        rows = read_table(table)
        for row in rows:
            row |= dict.fromkeys(columns or ("mask",), "-1" if kind == "classification" else "9999")
        strange = {**rows[0], "task_id": "2ch_view"}
        write_table(table, [*rows, strange] if kind == "classification" else rows)
    result = inside("predict", "--fmuia", hurt, "--checkpoint", checkpoint, "--device", "cpu", "-o", out)
    assert (result.returncode, result.stdout) == (1, f"{out}: 28 predictions\n")
    assert "does not know them: 2ch_view" in result.stderr
    assert sum("3.png" in line and "does not exist" in line for line in result.stderr.splitlines()) == 4
    told = json.loads((out / "classification_predictions.json").read_text(encoding="utf-8"))
    assert len(told) == 7


def test_two_masks_are_never_written_to_one_file(root: Path, checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    """Where hidden labels name no mask, its place follows from the image; `nan` is how other programs write none."""
    both, out = Path(shutil.copytree(root, tmp_path / "both")), tmp_path / "out"
    table = both / "csv_files" / "segmentation.csv"
    rows = [{**row, "mask_path": "nan"} for row in read_table(table)]
    images = both / "Data" / "images"
    shutil.copy(images / "1.png", images / "0.bmp")
    rows[1]["image_path"] = "../Data/images/0.bmp"

    def write() -> None:
        write_table(table, rows)

    write()
    words = ("predict", "--fmuia", both, "--checkpoint", checkpoint, "--device", "cpu", "-o", out)
    assert_one_sentence(inside(*words), "segmentation.csv, line 2", "line 3", "0.png", "mask_path of its own")
    assert not out.exists()
    rows[1]["image_path"] = "../Data/images/1.png"
    write()
    assert inside(*words).returncode == 0
    assert sorted(path.name for path in (out / "Data" / "masks").iterdir()) == [f"{index}.png" for index in range(8)]


def test_data_sets_whose_predictions_would_mix_are_refused(
    root: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    both, out = tmp_path / "both", tmp_path / "out"
    for part in ("train", "val"):
        shutil.copytree(root, both / part)
    common = ("--checkpoint", checkpoint, "--device", "cpu", "-o", out)
    says = ("a folder of its own", str(both / "train" / "csv_files"), str(both / "val" / "csv_files"))
    assert_one_sentence(inside("predict", "--fmuia", both, *common), *says)
    assert not out.exists()
