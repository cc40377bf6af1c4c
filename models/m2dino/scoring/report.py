"""The figures of a data set as JSON, as a table for a terminal, and as a CSV file of its images."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from m2dino.data.rows import Row
from m2dino.scoring.bootstrap import Metric
from m2dino.scoring.task_scores import OFFICIAL, TaskScores

FEW = 8
"""Subjects or recordings below which an interval is shown with a warning."""

Scores = Mapping[str, TaskScores]
Number = float | int | None

# The one metric of each type of task that has a scale from 0 to 1 and enters `mean_score`.
_SCORED = {"segmentation": "DSC", "classification": "Accuracy", "detection": "IoU"}
_REMARKS = {
    "missing": "{} of {} images have no prediction; they are skipped, as the challenge's scorer does.",
    "resized": "{} of {} predicted masks are of another size than the true one; they are stretched to it.",
    "unknown_classes": "{} of {} predicted masks hold values beyond the task's classes; those pixels count as none.",
    "one_empty": "in {} of {} images a class is in one of the two masks only; HD is the image's diagonal there, and "
    "HD95 and ASSD leave that class out.",
    "hidden_points": "{} of {} images have true points that are not visible; the official MRE takes them for (0, 0), "
    "MRE_sound leaves them out.",
    "without_probabilities": "{} of {} predictions have no probabilities, so the official AUC is 0.",
    "not_summing_to_1": "{} of {} predictions have probabilities that do not sum to 1; the official AUC is 0 unless "
    "there are two classes, AUC_sound and ECE divide them by their sum.",
}


def by_type(scores: Scores) -> dict[str, dict[str, TaskScores]]:
    """Return the tasks that have a figure, by type of task."""
    sorted_out: dict[str, dict[str, TaskScores]] = {}
    for task_id, each in scores.items():
        if each.official:
            sorted_out.setdefault(each.task.type, {})[task_id] = each
    return sorted_out


def type_means(scores: Scores) -> dict[str, dict[str, float]]:
    """Return the official metrics of each type: unweighted means over its tasks."""
    means = {}
    for kind, tasks in by_type(scores).items():
        means[kind] = {
            name: float(np.mean([each.official[name].value for each in tasks.values()])) for name in OFFICIAL[kind]
        }
    return means


def overall(scores: Scores) -> dict[str, Number]:
    """Return the official metrics of all types side by side, and one number of ours over them.

    How the challenge folds its metrics into one rank is not published. `mean_score` is ours: the unweighted mean over
    tasks of DSC, Accuracy or IoU. Regression does not enter, because pixels have no upper end.
    """
    flat: dict[str, Number] = {name: value for means in type_means(scores).values() for name, value in means.items()}
    each = [
        one.official[_SCORED[one.task.type]].value
        for one in scores.values()
        if one.official and one.task.type in _SCORED
    ]
    return {
        **flat,
        "mean_score": float(np.mean(each)) if each else None,
        "tasks": sum(bool(s.official) for s in scores.values()),
    }


def to_json(scores: Scores) -> dict[str, dict[str, dict[str, Number]]]:
    """Return all figures as plain data of three levels throughout.

    Returns
    -------
    dict
        For each type of task {type: {task: {metric: value}}}, official metrics only. Beside the types, in the same
        three levels: `clinical` {task: {metric: value}}; `low`, `high` and `n` {task: {metric: value}}, the 95 %
        interval and the images of both; `per_class` {task: {"metric (class)": value}}; `counts` {task: {what: count}};
        `mean` {type: {metric: value}}; `overall` {"all tasks": {metric: value}}. What is not known is None.
    """
    data: dict[str, dict[str, dict[str, Number]]] = {}
    for kind, tasks in by_type(scores).items():
        data[kind] = {
            task_id: {n: _known(m.value) for n, m in each.official.items()} for task_id, each in tasks.items()
        }
    every = {task_id: {**each.official, **each.clinical} for task_id, each in scores.items()}
    data["clinical"] = {t: {n: _known(m.value) for n, m in each.clinical.items()} for t, each in scores.items()}
    data["low"] = {t: {n: _known(m.low) for n, m in metrics.items()} for t, metrics in every.items()}
    data["high"] = {t: {n: _known(m.high) for n, m in metrics.items()} for t, metrics in every.items()}
    data["n"] = {t: {n: m.n for n, m in metrics.items()} for t, metrics in every.items()}
    data["per_class"] = {t: dict(each.per_class) for t, each in scores.items() if each.per_class}
    data["counts"] = {t: dict(each.counts) for t, each in scores.items()}
    data["mean"] = {kind: dict(means) for kind, means in type_means(scores).items()}
    data["overall"] = {"all tasks": overall(scores)}
    return data


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None


def to_text(scores: Scores) -> str:
    """Return the figures for a terminal: the official ones in one table a type, then every figure with its interval."""
    lines: list[str] = []
    means = type_means(scores)
    for kind, tasks in by_type(scores).items():
        names = OFFICIAL[kind]
        lines += ["", f"{kind.upper():<27}{'images':>7}" + "".join(f"{_shown(name):>13}" for name in names)]
        for task_id, each in tasks.items():
            cells = "".join(f"{_number(name, each.official[name].value):>13}" for name in names)
            lines.append(f"  {task_id:<25}{each.counts['scored']:>7}{cells}")
        if len(tasks) > 1:
            cells = "".join(f"{_number(name, means[kind][name]):>13}" for name in names)
            lines.append(f"  {f'mean of {len(tasks)} tasks':<25}{'':>7}{cells}")
    total = overall(scores)
    if total["mean_score"] is not None and total["tasks"] != 1:
        lines += [
            "",
            f"OVERALL  {total['mean_score']:.3f}: our mean over tasks of DSC, Accuracy or IoU; points do not enter.",
        ]
    lines += ["", "EVERY FIGURE, with its 95 % interval by resampling subjects"]
    for task_id, each in scores.items():
        if each.official:
            subjects = each.counts["subjects"]
            few = "; so few say little about the next" if subjects < FEW else ""
            people = f"{subjects} subject{'s' if subjects > 1 else ''}{few}"
            lines += ["", f"  {task_id}, {each.counts['scored']} images of {people}"]
            lines += [_line(name, metric, each) for name, metric in _told(each).items()]
    told = remarks(scores)
    lines += ["", "REMARKS", *(f"  {remark}" for remark in told)] if told else []
    return "\n".join(lines).lstrip("\n")


def _told(each: TaskScores) -> dict[str, Metric]:
    """Return the figures worth a line: a sound one only where the official one differs."""
    metrics = {**each.official, **each.clinical}
    return {
        name: metric
        for name, metric in metrics.items()
        if not name.endswith("_sound") or metric.value != metrics[name.removesuffix("_sound")].value
    }


def remarks(scores: Scores) -> list[str]:
    """Return what a reader has to know about how the figures came about, in plain sentences."""
    told = []
    for task_id, each in scores.items():
        of = {"missing": each.counts["images"]}
        for name, text in _REMARKS.items():
            if each.counts.get(name):
                told.append(f"{task_id}: {text.format(each.counts[name], of.get(name, each.counts['scored']))}")
        if each.counts.get("classes_absent"):
            told.append(
                f"{task_id}: {each.counts['classes_absent']} of {each.task.num_classes} classes are not in the truth; "
                "the official AUC is 0 then, AUC_sound is the mean over the others."
            )
    return told


def per_image_csv(scores: Scores, rows: Sequence[Row]) -> bytes:
    """Return a table with a line an image and task.

    Columns: task_id, type, table and line (where the label stands), image_path, group (a number: images of one subject
    share it), root (the name of its data set, only where the rows are of several), scored (1, or 0 where there is no
    prediction), true_class, predicted_class, probability (of the predicted class), then one column a figure; a figure
    of one class is named "metric (class)". Empty where a figure is not defined.

    Parameters
    ----------
    scores : Scores
    rows : sequence of Row
        Those that were scored.
    """
    numbers = {whose: number for number, whose in enumerate(dict.fromkeys(row.whose for row in rows), start=1)}
    roots = _root_names(rows)
    table: list[dict[str, object]] = []
    for task_id, each in scores.items():
        own = [row for row in rows if row.task_id == task_id]
        for row, image in zip(own, each.images, strict=True):
            told = image.predicted_class
            cells: dict[str, object] = {
                "task_id": task_id,
                "type": row.type,
                "table": row.csv.name,
                "line": row.line,
                "image_path": row.image_path,
                "group": numbers[row.whose],
                **({"root": roots[row.root]} if len(roots) > 1 else {}),
                "scored": int(image.scored),
                "true_class": "" if image.true_class is None else each.task.label_names[image.true_class],
                "predicted_class": "" if told is None else each.task.label_names[told.chosen],
                "probability": "" if told is None or told.probabilities is None else told.probabilities[told.chosen],
            }
            for name, value in image.values.items():
                cells[name] = _cell(float(np.mean(value)))
                if len(value) > 1:
                    cells |= {
                        f"{name} ({label})": _cell(v) for label, v in zip(each.task.label_names[1:], value, strict=True)
                    }
            table.append(cells)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(name for line in table for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue().encode()


def _root_names(rows: Sequence[Row]) -> dict[Path, str]:
    """Return a name for each data set: that of its folder, with a number where several folders have the same."""
    roots = list(dict.fromkeys(row.root for row in rows))
    times = Counter(root.name for root in roots)
    return {
        root: root.name if times[root.name] == 1 else f"{root.name} {number}"
        for number, root in enumerate(roots, start=1)
    }


def _cell(number: float) -> str:
    return repr(number) if math.isfinite(number) else ""


def _shown(name: str) -> str:
    """Return the name of a metric for a table, its unit in brackets."""
    if name in ("HD", "MRE", "MRE_sound"):
        return f"{name} (px)"
    stem, _, unit = name.rpartition("_")
    return f"{stem} ({'%' if unit == 'percent' else unit})" if unit in ("px", "mm", "percent") else name


def _number(name: str, number: float) -> str:
    if math.isnan(number):
        return "-"
    return f"{number:.3f}" if _shown(name) == name else f"{number:.2f}" if abs(number) < 100 else f"{number:.1f}"


def _line(name: str, metric: Metric, each: TaskScores) -> str:
    text = f"    {_shown(name):<32}{_number(name, metric.value):>9}"
    if math.isfinite(metric.low):
        text += f"  ({_number(name, metric.low)} to {_number(name, metric.high)})"
    return text if metric.n == each.counts["scored"] else f"{text}  of {metric.n} images"
