"""The official metrics once more, from their definitions alone: slow, plain, and without any of the engine's code.

Reads a data set and a folder of predictions with json, csv, Pillow, SimpleITK and scikit-learn, as a scorer would.
"""

from __future__ import annotations

import csv
import json
import math
import warnings
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning

Table = dict[str, dict[str, dict[str, float]]]


def score(root: Path, out: Path) -> Table:
    """Return {type: {task: {metric: value}}} of a data set and the predictions for it; tasks without any left out."""
    rows = [
        row
        for path in sorted((root / "csv_files").glob("*.csv"))
        for row in csv.DictReader(path.open(encoding="utf-8"))
    ]
    table: Table = {}
    for task_id in dict.fromkeys(row["task_id"] for row in rows):
        own = [row for row in rows if row["task_id"] == task_id]
        kind, count = own[0]["task_name"].lower(), int(own[0]["num_classes"])
        figures = {
            "segmentation": segmentation,
            "classification": classification,
            "detection": detection,
            "regression": regression,
        }[kind](root, out, own, count)
        if figures:
            table.setdefault(kind, {})[task_id] = figures
    return table


def type_means(table: Table) -> Table:
    return {
        kind: {name: float(np.mean([task[name] for task in tasks.values()])) for name in next(iter(tasks.values()))}
        for kind, tasks in table.items()
    }


def segmentation(root: Path, out: Path, rows: list[dict[str, str]], count: int) -> dict[str, float]:
    dices: list[list[float]] = [[] for _ in range(count)]
    hausdorffs: list[list[float]] = [[] for _ in range(count)]
    for row in rows:
        path = out / row["mask_path"].replace("../", "")
        if not path.exists():
            continue
        truth = np.asarray(Image.open(root / "csv_files" / row["mask_path"]))
        pred = nearest(np.asarray(Image.open(path)), truth.shape)
        for index in range(1, count):
            p, t = pred == index, truth == index
            if not p.any() and not t.any():
                dices[index].append(1)
                hausdorffs[index].append(0)
                continue
            dices[index].append(2 * (p & t).sum() / (p.sum() + t.sum()))
            if p.any() and t.any():
                hausdorffs[index].append(itk_hausdorff(p, t))
            else:
                hausdorffs[index].append(math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    if not dices[1]:
        return {}
    return {
        name: float(np.mean([np.mean(each) for each in found[1:]]))
        for name, found in (("DSC", dices), ("HD", hausdorffs))
    }


def classification(root: Path, out: Path, rows: list[dict[str, str]], count: int) -> dict[str, float]:
    entries = listed(out / "classification_predictions.json")
    told = [(int(row["mask"]), entries[key(row)]) for row in rows if key(row) in entries]
    if not told:
        return {}
    truth = [true for true, _ in told]
    chosen = [entry["predicted_class"] for _, entry in told]
    probs = np.array([entry["predicted_probs"] for _, entry in told])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # scikit-learn warns nowadays where it used to refuse: one class of two
            auc = (
                sk.roc_auc_score(truth, probs[:, 1])
                if count == 2
                else sk.roc_auc_score(truth, probs, multi_class="ovr")
            )
    except (ValueError, UndefinedMetricWarning):
        auc = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where only one class occurs
        return {
            "Accuracy": float(np.mean(np.equal(truth, chosen))),
            "F1_macro": sk.f1_score(truth, chosen, average="macro", zero_division=0),
            "F1_weighted": sk.f1_score(truth, chosen, average="weighted", zero_division=0),
            "MCC": sk.matthews_corrcoef(truth, chosen),
            "AUC": float(auc),
        }


def listed_f1(truth: list[int], chosen: list[int], count: int) -> list[float]:
    """Return F1 of every class by its position among the classes that occur, as the scorer lists it."""
    scores = sk.f1_score(truth, chosen, average=None, zero_division=0)
    return [float(scores[c]) if c < len(scores) else 0.0 for c in range(count)]


def detection(root: Path, out: Path, rows: list[dict[str, str]], count: int) -> dict[str, float]:
    entries = listed(out / "detection_predictions.json")
    found = []
    for row in rows:
        if key(row) not in entries:
            continue
        ax0, ay0, ax1, ay1 = entries[key(row)]["bbox_pixels"]
        bx0, by0, bx1, by1 = (float(row[name]) for name in ("x_min", "y_min", "x_max", "y_max"))
        common = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
        union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - common
        found.append(common / union if union else 0.0)
    return {"IoU": float(np.mean(found))} if found else {}


def regression(root: Path, out: Path, rows: list[dict[str, str]], count: int) -> dict[str, float]:
    entries = listed(out / "regression_predictions.json")
    found = []
    for row in rows:
        if key(row) not in entries:
            continue
        pred = np.array(entries[key(row)]["predicted_points_pixels"]).reshape(-1, 2)
        cells = [row[f"point_{i + 1}_xy"] for i in range(count)]
        truth = np.array([json.loads(cell) if cell else [0, 0] for cell in cells])
        found.append(np.mean([math.dist(p, t) for p, t in zip(pred, truth, strict=True)]))
    return {"MRE": float(np.mean(found))} if found else {}


def key(row: dict[str, str]) -> tuple[str, str]:
    return row["task_id"], row["image_path"]


def listed(path: Path) -> dict[tuple[str, str], dict]:  # type: ignore[type-arg]
    if not path.exists():
        return {}
    return {(entry["task_id"], entry["image_path"]): entry for entry in json.loads(path.read_text())}


def nearest(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """OpenCV's INTER_NEAREST, one pixel at a time."""
    result = np.zeros(shape, labels.dtype)
    steps = [1.0 / (to / of) for of, to in zip(labels.shape, shape, strict=True)]
    for y in range(shape[0]):
        for x in range(shape[1]):
            source = (
                min(math.floor(y * steps[0]), labels.shape[0] - 1),
                min(math.floor(x * steps[1]), labels.shape[1] - 1),
            )
            result[y, x] = labels[source]
    return result


def itk_hausdorff(one: np.ndarray, other: np.ndarray) -> float:
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*(sitk.GetImageFromArray((mask * 255).astype(np.uint8)) for mask in (one, other)))
    return float(measure.GetHausdorffDistance())
