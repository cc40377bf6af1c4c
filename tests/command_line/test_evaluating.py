"""`m2dino evaluate`, on what `m2dino predict --fmuia` wrote and on a checkpoint."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib.colors
import numpy as np
import pytest
from m2dino.scoring.sheet import PREDICTION, TRUTH
from PIL import Image

from tests.command_line.conftest import assert_one_sentence, done
from tests.in_process import Run
from tests.synthetic import HEIGHT, TASKS, WIDTH, make_root
from tests.tables import read_table, write_table


@pytest.fixture(scope="module")
def written(root: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output files of a checkpoint."""
    out = tmp_path_factory.mktemp("predictions") / "out"
    said = done("predict", "--fmuia", root, "--checkpoint", checkpoint, "--device", "cpu", "-o", out)
    assert said == f"{out}: 32 predictions\n"
    return out


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    """A copy of them, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "out"))


def entries(out: Path, kind: str) -> list[dict[str, Any]]:
    found = json.loads((out / f"{kind}_predictions.json").read_text(encoding="utf-8"))
    assert isinstance(found, list)
    return found


def write(out: Path, kind: str, found: object) -> None:
    (out / f"{kind}_predictions.json").write_text(json.dumps(found), encoding="utf-8")


def test_scoring_written_predictions_equals_scoring_the_checkpoint(
    root: Path, checkpoint: Path, written: Path, inside: Run
) -> None:
    mask = np.asarray(Image.open(written / "Data" / "masks" / "3.png"))
    assert mask.shape == (HEIGHT, WIDTH)
    told = json.loads(done("evaluate", root, "--predictions", written, "--json", run=inside))
    direct = json.loads(done("evaluate", root, "--checkpoint", checkpoint, "--device", "cpu", "--json", run=inside))
    assert told == direct
    assert {kind: list(told[kind]) for kind in TASKS} == {kind: [task] for kind, task in TASKS.items()}
    assert set(told["segmentation"][TASKS["segmentation"]]) == {"DSC", "HD"}
    classes = set(told["classification"][TASKS["classification"]])
    assert classes == {"Accuracy", "F1_macro", "F1_weighted", "MCC", "AUC", "AUC_sound"}
    assert set(told["detection"][TASKS["detection"]]) == {"IoU"}
    assert set(told["regression"][TASKS["regression"]]) == {"MRE"}
    assert told["mean"]["detection"] == told["detection"][TASKS["detection"]]
    assert told["counts"][TASKS["regression"]] == {"images": 8, "scored": 8, "missing": 0, "subjects": 4}
    assert told["clinical"][TASKS["regression"]]["length_error_px"] > 0


def test_the_table_shows_every_figure_and_fits_a_terminal(root: Path, written: Path, inside: Run) -> None:
    told = json.loads(done("evaluate", root, "--predictions", written, "--json", run=inside))
    table = done("evaluate", root, "--predictions", written, run=inside)
    assert all(len(line) <= 110 for line in table.splitlines())
    for kind, task_id in TASKS.items():
        (line,) = re.findall(rf"^  {task_id} .*", table, flags=re.MULTILINE)[:1]
        assert line.split()[1] == "8"
        first = next(iter(told[kind][task_id].values()))
        assert float(line.split()[2]) == pytest.approx(first, abs=0.051 if first > 100 else 0.0051)
    assert "8 images of 4 subjects" in table
    for name in (
        "HD95 (px)",
        "ASSD (px)",
        "Sensitivity",
        "Specificity",
        "Balanced_accuracy",
        "ECE",
        "length_error (%)",
    ):
        assert name in table


def test_images_are_listed_with_figures_that_average_to_the_tasks(
    root: Path, out: Path, tmp_path: Path, inside: Run
) -> None:
    write(out, "detection", entries(out, "detection")[1:])
    listing = tmp_path / "folder" / "images.csv"
    told = json.loads(done("evaluate", root, "--predictions", out, "--per-image", listing, "--json", run=inside))
    with listing.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 32
    for kind, name in (("segmentation", "DSC"), ("detection", "IoU"), ("regression", "MRE")):
        cells = [line[name] for line in lines if line["task_id"] == TASKS[kind] and line[name]]
        assert np.mean([float(cell) for cell in cells]) == pytest.approx(told[kind][TASKS[kind]][name])
    (skipped,) = [line for line in lines if line["scored"] == "0"]
    assert (skipped["task_id"], skipped["line"], skipped["IoU"]) == (TASKS["detection"], "2", "")
    named = [line for line in lines if line["type"] == "classification"]
    right = [line["true_class"] == line["predicted_class"] for line in named]
    assert np.mean(right) == told["classification"][TASKS["classification"]]["Accuracy"]
    assert {line["group"] for line in named} == {"1", "2", "3", "4"}
    assert "subject 0" not in listing.read_text(encoding="utf-8")


def test_a_sheet_of_each_task_shows_truth_and_prediction(
    root: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    done("evaluate", root, "--checkpoint", checkpoint, "--device", "cpu", "--sheet", tmp_path / "sheets", run=inside)
    assert sorted(path.stem for path in (tmp_path / "sheets").iterdir()) == sorted(TASKS.values())
    for kind, task_id in TASKS.items():
        picture = np.asarray(Image.open(tmp_path / "sheets" / f"{task_id}.png").convert("RGB")).astype(int)
        assert picture.std() > 20
        if kind != "classification":
            # Below the line with the legend, both colours are on the images.
            for colour in (TRUTH, PREDICTION):
                rgb = np.array(matplotlib.colors.to_rgb(colour)) * 255
                assert (np.abs(picture[120:] - rgb).max(axis=2) < 12).sum() > 50, (task_id, colour)


def test_tasks_and_a_limit_choose_rows_evenly(root: Path, written: Path, tmp_path: Path, inside: Run) -> None:
    listing = tmp_path / "images.csv"
    chosen = ("--tasks", f"{TASKS['detection']}, {TASKS['regression']}", "--limit", 4, "--per-image", listing)
    told = json.loads(done("evaluate", root, "--predictions", written, *chosen, "--json", run=inside))
    assert list(told["counts"]) == [TASKS["detection"], TASKS["regression"]]
    assert "segmentation" not in told
    with listing.open(encoding="utf-8", newline="") as stream:
        lines = [line["line"] for line in csv.DictReader(stream)]
    assert lines == ["2", "4", "6", "8"] * 2
    one = ("evaluate", root, "--predictions", written, "--json", "--tasks")
    once = done(*one, TASKS["detection"], run=inside)
    # A task that is named twice is scored once.
    assert done(*one, ",".join([TASKS["detection"]] * 2), run=inside) == once


def test_the_scale_of_an_image_holds_for_all_its_tasks(root: Path, written: Path, tmp_path: Path, inside: Run) -> None:
    scaled = Path(shutil.copytree(root, tmp_path / "scaled"))
    table = scaled / "csv_files" / "regression.csv"
    first, *others = table.read_text(encoding="utf-8").splitlines()
    lines = [f"{first},pixel_mm", *(f"{line},{'' if i == 0 else 0.5}" for i, line in enumerate(others))]
    table.write_text("\n".join(lines), encoding="utf-8")
    told = json.loads(done("evaluate", scaled, "--predictions", written, "--json", run=inside))
    clinical, n = told["clinical"], told["n"]
    points = TASKS["regression"]
    assert n[points]["length_error_mm"] == n[points]["length_error_px"] - 1 == 7
    assert clinical[points]["MRE_mm"] > 0
    masks = TASKS["segmentation"]
    assert n[masks].get("HD95_mm", 0) >= n[masks].get("HD95_px", 0) - 1
    unscaled = json.loads(done("evaluate", root, "--predictions", written, "--json", run=inside))
    assert not any(name.endswith("_mm") for figures in unscaled["clinical"].values() for name in figures)


def test_predictions_that_are_missing_foreign_or_repeated_are_told(root: Path, out: Path, inside: Run) -> None:
    found = entries(out, "regression")
    write(out, "regression", [*found[2:], found[-1], {**found[0], "image_path": "../elsewhere.png"}])
    (out / "detection_predictions.json").unlink()
    (out / "Data" / "masks" / "0.png").unlink()
    Image.new("L", (5, 5)).save(out / "stray.png")
    result = inside("evaluate", root, "--predictions", out)
    assert result.returncode == 0
    for said in ("1 entries repeat", "1 entries belong to no row", "1 PNG files belong to no row"):
        assert said in result.stderr
    assert f"not one prediction of them: {TASKS['detection']}" in result.stderr
    assert f"{TASKS['regression']}: 2 of 8 images have no prediction" in result.stdout
    assert f"{TASKS['segmentation']}: 1 of 8 images have no prediction" in result.stdout


def test_a_box_that_ends_before_it_starts_is_a_miss_as_in_the_challenges_scorer(
    root: Path, out: Path, inside: Run
) -> None:
    words = ("evaluate", root, "--predictions", out, "--json")
    task = TASKS["detection"]
    whole = json.loads(inside(*words).stdout)
    found = entries(out, "detection")
    x_min, y_min, x_max, y_max = found[0]["bbox_pixels"]
    write(out, "detection", [{**found[0], "bbox_pixels": [x_max, y_min, x_min, y_max]}, *found[1:]])
    result = inside(*words)
    assert result.returncode == 0
    assert "1 boxes end before they start" in result.stderr
    told = json.loads(result.stdout)
    assert told["counts"][task]["scored"] == 8
    assert told["detection"][task]["IoU"] <= whole["detection"][task]["IoU"]
    write(out, "detection", [{**one, "bbox_pixels": [9, 9, 1, 1]} for one in found])
    assert json.loads(inside(*words).stdout)["detection"][task]["IoU"] == 0


def test_one_folder_of_predictions_is_not_scored_against_two_data_sets(
    root: Path, written: Path, tmp_path: Path, inside: Run
) -> None:
    for part in ("train", "val"):
        shutil.copytree(root, tmp_path / "both" / part)
    said = (str(tmp_path / "both" / "train"), str(tmp_path / "both" / "val"), "one at a time")
    assert_one_sentence(inside("evaluate", tmp_path / "both", "--predictions", written), *said)


def test_the_same_path_in_two_data_sets_is_two_images(checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    """Where no column tells the subject; where one does, a subject may well be in both."""
    boxes, points = TASKS["detection"], TASKS["regression"]
    for part in ("train", "val"):
        table = make_root(tmp_path / "both" / part, images=4) / "csv_files" / "detection.csv"
        write_table(table, [{name: row[name] for name in row if name != "subject_id"} for row in read_table(table)])
    listing = tmp_path / "images.csv"
    words = ("evaluate", tmp_path / "both", "--checkpoint", checkpoint, "--device", "cpu", "--per-image", listing)
    result = inside(*words, "--tasks", f"{boxes},{points}", "--json")
    assert result.returncode == 0
    assert "8 rows of train, 8 rows of val" in result.stderr
    counts = json.loads(result.stdout)["counts"]
    assert (counts[boxes]["images"], counts[boxes]["subjects"]) == (8, 8)
    assert (counts[points]["images"], counts[points]["subjects"]) == (8, 2)
    with listing.open(encoding="utf-8", newline="") as stream:
        lines = [line for line in csv.DictReader(stream) if line["task_id"] == boxes]
    assert [line["root"] for line in lines] == ["train"] * 4 + ["val"] * 4
    assert len({line["group"] for line in lines}) == 8
    assert str(tmp_path) not in listing.read_text(encoding="utf-8")


def test_a_file_of_own_tasks_names_the_lengths(root: Path, out: Path, tmp_path: Path, inside: Run) -> None:
    """As the checkpoint that the predictions came from may do: a table knows points by number only."""
    own = Path(shutil.copytree(root, tmp_path / "own"))
    table = own / "csv_files" / "regression.csv"
    rows = [{**row, "task_id": "canal", "pixel_mm": "0.5"} for row in read_table(table)]
    write_table(table, rows)
    write(out, "regression", [{**one, "task_id": "canal"} for one in entries(out, "regression")])
    file = tmp_path / "own.toml"
    names = '{ name = "canal left" }, { name = "canal right" }'
    file.write_text(f'[[task]]\nid = "canal"\ntype = "regression"\nlabels = [{names}]\n', encoding="utf-8")
    words = ("evaluate", own, "--predictions", out, "--json", "--tasks", "canal")
    plain = json.loads(done(*words, run=inside))["clinical"]["canal"]
    named = json.loads(done(*words, "--task-file", file, run=inside))["clinical"]["canal"]
    assert "canal_error_mm" in named
    assert "canal_error_mm" not in plain


def test_rows_that_name_an_image_twice_are_told_and_count_twice(
    root: Path, written: Path, tmp_path: Path, inside: Run
) -> None:
    twice = Path(shutil.copytree(root, tmp_path / "twice"))
    table = twice / "csv_files" / "detection.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines, lines[-1]]), encoding="utf-8")
    result = inside("evaluate", twice, "--predictions", written, "--json")
    assert "1 rows name an image that another row names" in result.stderr
    assert json.loads(result.stdout)["counts"][TASKS["detection"]]["images"] == 9


def test_tasks_that_the_checkpoint_does_not_know_are_left_out_and_named(
    root: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    more = Path(shutil.copytree(root, tmp_path / "more"))
    table = more / "csv_files" / "detection.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(TASKS["detection"], "own_box"), encoding="utf-8")
    words = ("evaluate", more, "--checkpoint", checkpoint, "--device", "cpu")
    result = inside(*words, "--json")
    assert "does not know them: own_box" in result.stderr
    assert "detection" not in json.loads(result.stdout)
    assert_one_sentence(inside(*words, "--tasks", "own_box"), "never trained", "own_box")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"predicted_probs": [float("nan"), 0.5]}, "classification_predictions.json"),
        ({"predicted_probs": [0.2, 0.3, 0.5]}, "classification_predictions.json"),
        ({"predicted_probs": [-0.5, 1.5]}, "classification_predictions.json"),
        ({"predicted_class": 2}, "classification_predictions.json"),
        ({"predicted_class": "benign"}, "classification_predictions.json"),
    ],
)
def test_a_damaged_class_is_a_users_error(
    change: dict[str, object], says: str, root: Path, out: Path, inside: Run
) -> None:
    found = entries(out, "classification")
    write(out, "classification", [*found[:-1], {**found[-1], **change}])
    assert_one_sentence(inside("evaluate", root, "--predictions", out), says, str(found[-1]["image_path"]))


def test_mistakes_are_answered_in_one_sentence(
    root: Path, checkpoint: Path, out: Path, tmp_path: Path, inside: Run
) -> None:
    (tmp_path / "file").write_text("in the way")
    predictions = ("evaluate", root, "--predictions", out)
    for words, says in (
        (("evaluate", root, "--predictions", tmp_path / "none"), ("none",)),
        (("evaluate", tmp_path, "--predictions", out), ("csv_files",)),
        ((*predictions, "--checkpoint", checkpoint), ("not both",)),
        (("evaluate", root, "--checkpoint", checkpoint, "--device", "gpu"), ("gpu",)),
        ((*predictions, "--tasks", "organ_cls"), ("organ_cls", TASKS["detection"])),
        ((*predictions, "--per-image", tmp_path), ("--per-image", "folder")),
        ((*predictions, "--sheet", tmp_path / "file"), ("--sheet", "file")),
    ):
        assert_one_sentence(inside(*words), *says)
    result = inside(*predictions, "--per-image", tmp_path / "file" / "images.csv")
    assert result.returncode == 1
    assert "cannot be written" in result.stderr
    (out / "Data" / "masks" / "3.png").write_bytes(b"not a picture")
    assert_one_sentence(inside(*predictions), "3.png")


def test_one_image_of_each_task_is_enough(tmp_path: Path, checkpoint: Path, inside: Run) -> None:
    root = make_root(tmp_path / "one", images=1)
    words = ("evaluate", root, "--checkpoint", checkpoint, "--device", "cpu", "--sheet", tmp_path / "sheets")
    assert inside(*words).returncode == 0
    told = json.loads(done(*words, "--json", run=inside))
    assert told["low"][TASKS["detection"]]["IoU"] is None
    assert len(list((tmp_path / "sheets").iterdir())) == 4
