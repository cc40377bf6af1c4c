"""The figures of `score_rows` against an independent scorer, on data sets and predictions with every quirk in them."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m2dino.data.fmuia import read_root, tasks_of
from m2dino.data.fmuia_output import OutputReader
from m2dino.evaluation import folder_source, score_rows
from m2dino.scoring.report import remarks, to_json
from m2dino.scoring.task_scores import OFFICIAL
from m2dino.tasks import builtin_tasks
from PIL import Image

from tests.metrics import reference
from tests.tables import write_table

COUNTS = {"segmentation": 3, "classification": 3, "detection": 1, "regression": 4}
NAMES = {"segmentation": "parts", "classification": "kind", "detection": "thing", "regression": "ends"}


def make(folder: Path, seed: int, images: int, *, classes: int = 3) -> tuple[Path, Path]:
    """Write a random data set and predictions for most of it, with absent classes, ties, hidden points, other sizes."""
    rng = np.random.default_rng(seed)
    root, out = folder / "root", folder / "out"
    (root / "csv_files").mkdir(parents=True)
    (root / "I").mkdir()
    (root / "M").mkdir()
    (out / "M").mkdir(parents=True)
    tables: dict[str, list[dict[str, Any]]] = {kind: [] for kind in NAMES}
    lists: dict[str, list[dict[str, Any]]] = {kind: [] for kind in NAMES}
    for index in range(images):
        height, width = rng.integers(12, 40, 2)
        Image.new("L", (int(width), int(height))).save(root / "I" / f"{index}.png")
        Image.fromarray(blobs(rng, int(height), int(width))).save(root / "M" / f"{index}.png")
        shape = (int(height), int(width)) if rng.random() < 0.6 else tuple(int(n) for n in rng.integers(8, 50, 2))
        if rng.random() < 0.85:
            Image.fromarray(blobs(rng, *shape)).save(out / "M" / f"{index}.png")
        for kind, count in {**COUNTS, "classification": classes}.items():
            name = "Regression" if kind == "regression" else kind
            common = {"image_path": f"../I/{index}.png", "task_id": NAMES[kind]}
            label, told = values(kind, rng, count, index)
            tables[kind].append({**common, "task_name": name, "num_classes": count, "subject_id": index // 2, **label})
            if kind != "segmentation" and rng.random() < 0.85:
                lists[kind].append({**common, **told})
    for kind, rows in tables.items():
        write_table(root / "csv_files" / f"{kind}.csv", rows)
        if lists[kind]:
            (out / f"{kind}_predictions.json").write_text(json.dumps(lists[kind]))
    return root, out


def blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    labels = np.zeros((height, width), np.uint8)
    for index in rng.permutation([1, 2])[: rng.integers(0, 3)]:
        y, x = rng.integers(0, height), rng.integers(0, width)
        labels[y : y + rng.integers(1, 12), x : x + rng.integers(1, 12)] = index
    return labels


def values(kind: str, rng: np.random.Generator, count: int, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    if kind == "segmentation":
        return {"mask_path": f"../M/{index}.png"}, {}
    if kind == "classification":
        probs = (rng.dirichlet(np.ones(count)) * 10).round() / 10  # with ties
        probs[0] += 1 - probs.sum()
        chosen = int(rng.integers(count)) if rng.random() < 0.3 else int(np.argmax(probs))
        return {"mask": int(rng.integers(count))}, {
            "predicted_class": chosen,
            "predicted_probs": np.abs(probs).tolist(),
        }
    if kind == "detection":
        boxes = [[*corner, *(corner + rng.integers(0, 20, 2))] for corner in rng.uniform(0, 20, (2, 2)).round(1)]
        label = dict(zip(("x_min", "y_min", "x_max", "y_max"), boxes[0], strict=True))
        return label, {"bbox_pixels": [float(edge) for edge in boxes[1]]}
    points = rng.uniform(0, 40, (count, 2)).round(2)
    label = {f"point_{i + 1}_xy": "" if rng.random() < 0.1 else str(point.tolist()) for i, point in enumerate(points)}
    return label, {"predicted_points_pixels": rng.uniform(0, 40, 2 * count).tolist()}


def ours(root: Path, out: Path) -> dict[str, Any]:
    rows = read_root(root)
    return to_json(score_rows(folder_source(OutputReader(out)), rows, tasks_of(rows, builtin_tasks())))


@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.sampled_from([2, 3, 5]))
@settings(max_examples=30, deadline=None)
def test_every_official_figure_is_the_references(seed: int, images: int, classes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, out = make(Path(folder), seed, images, classes=classes)
        expected, told = reference.score(root, out), ours(root, out)
        for kind, names in OFFICIAL.items():
            found = {task: {name: figures[name] for name in names} for task, figures in told.get(kind, {}).items()}
            assert set(found) == set(expected.get(kind, {}))
            for task, figures in found.items():
                assert figures == pytest.approx(expected[kind][task], abs=1e-6, rel=1e-6)
        for kind, means in reference.type_means(expected).items():
            assert told["mean"][kind] == pytest.approx(means, abs=1e-6, rel=1e-6)
        if "kind" in told["per_class"]:
            entries = reference.listed(out / "classification_predictions.json")
            rows = list(csv.DictReader((root / "csv_files" / "classification.csv").open()))
            pairs = [
                (int(r["mask"]), entries[reference.key(r)]["predicted_class"])
                for r in rows
                if reference.key(r) in entries
            ]
            listed = reference.listed_f1([t for t, _ in pairs], [p for _, p in pairs], classes)
            assert [told["per_class"]["kind"][f"F1_official (class {c})"] for c in range(classes)] == pytest.approx(
                listed
            )


def test_json_has_three_levels_throughout_and_the_types_hold_tasks_alone(tmp_path: Path) -> None:
    root, out = make(tmp_path, 5, 12)
    told = json.loads(json.dumps(ours(root, out), allow_nan=False))
    for tables in told.values():
        for figures in tables.values():
            assert all(number is None or isinstance(number, int | float) for number in figures.values())
    assert {kind: list(told[kind]) for kind in NAMES} == {kind: [name] for kind, name in NAMES.items()}
    assert told["overall"]["all tasks"]["DSC"] == told["segmentation"]["parts"]["DSC"]
    assert told["overall"]["all tasks"]["mean_score"] == pytest.approx(
        np.mean(
            [
                told["segmentation"]["parts"]["DSC"],
                told["classification"]["kind"]["Accuracy"],
                told["detection"]["thing"]["IoU"],
            ]
        )
    )
    for name in ("DSC", "HD95_px", "ASSD_px"):
        low, high = told["low"]["parts"][name], told["high"]["parts"][name]
        value = {**told["segmentation"]["parts"], **told["clinical"]["parts"]}[name]
        assert low <= value <= high


def test_what_is_missing_or_odd_is_counted_and_told(tmp_path: Path) -> None:
    root, out = make(tmp_path, 5, 12)
    (out / "M" / "0.png").unlink(missing_ok=True)
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(out / "M" / "1.png")
    entries = json.loads((out / "classification_predictions.json").read_text())
    entries[0]["predicted_probs"] = [0.9, 0.9, 0.9]
    del entries[-1]
    (out / "classification_predictions.json").write_text(json.dumps(entries))
    rows = read_root(root)
    scores = score_rows(folder_source(OutputReader(out)), rows, tasks_of(rows, builtin_tasks()))
    counts = {task: each.counts for task, each in scores.items()}
    assert counts["parts"]["missing"] == 12 - len(list((out / "M").iterdir()))
    assert counts["parts"]["unknown_classes"] == 1
    assert counts["parts"]["resized"] >= 1
    assert (counts["kind"]["missing"], counts["kind"]["not_summing_to_1"]) == (12 - len(entries), 1)
    assert all(each["images"] == each["scored"] + each["missing"] for each in counts.values())
    assert scores["kind"].official["AUC"].value == 0
    assert scores["kind"].official["AUC_sound"].value > 0
    text = "\n".join(remarks(scores))
    for said in ("have no prediction", "another size", "beyond the task's classes", "do not sum to 1", "not visible"):
        assert said in text
    assert scores["ends"].official["MRE"].value > scores["ends"].official["MRE_sound"].value
