"""What training and validation data have in common: pictures, nearly the same pictures, subjects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m2dino.cine.loop import Frame
from m2dino.data.problems import Problem
from m2dino.data.rows import Row
from m2dino.data.same_bytes import same_bytes

ALIKE = 0.998
"""Correlation of thumbnails from which on two pictures count as nearly the same.

The same frame saved at another size or quality was above 0.999 on 18 pictures of HC18, CCAUS, BUSI and BUS-BRA, and no
pair of different subjects above 0.995.
"""
_SIDE = 24
_ROWS_AT_ONCE = 2048


def thumbnail(frame: Frame) -> NDArray[np.float32]:
    """Return a signature of what a picture shows, of length 1, so that a product of two is their correlation."""
    grey = Image.fromarray(frame).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    flat = np.asarray(grey, dtype=np.float32).ravel()
    flat = flat - flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6))


def repeated_pictures(rows: Sequence[Row], names: Mapping[Path, str]) -> Iterator[Problem]:
    """Yield the rows of one root whose picture another file has already shown for the same task."""
    first_of: dict[tuple[str, str], Row] = {}
    for row in rows:
        first = first_of.setdefault((row.task_id, names[row.image]), row)
        if first.image != row.image:
            other = ", but has another class" if row.type == "classification" and row.label != first.label else ""
            text = f"{row.image_path} is the same picture as {first.image_path} in {first.csv.name}, line {first.line}"
            yield Problem(row.csv, row.line, f"{text}{other}.", "warning")


def split_problems(
    splits: Sequence[Sequence[Row]], thumbnails: Mapping[Path, NDArray[np.float32]]
) -> Iterator[Problem]:
    """Yield what the rows of a split share with those of an earlier one, whatever their tasks.

    The same picture is an error, for a result on it is untrue. Nearly the same picture, or a subject of the same name,
    is a warning, for a person has to judge.

    Parameters
    ----------
    splits : sequence of sequence of Row
        The rows of each root.
    thumbnails : mapping of Path to ndarray
        Of every image that decodes; see `thumbnail`.
    """
    names = same_bytes(row.image for rows in splits for row in rows)
    pictures: dict[str, Row] = {}
    subjects: dict[str, Row] = {}
    for rows in splits:
        told: set[str] = set()
        near = dict(_alike(rows, list(pictures.values()), thumbnails))
        for row in rows:
            name, group = names[row.image], row.group
            if name in pictures:
                text = f"{row.image_path} is also in the other split: {_place(pictures[name])}."
                yield Problem(row.csv, row.line, text)
            elif name not in told and row.image in near:
                text = f"{row.image_path} looks nearly the same as a picture of the other split"
                yield Problem(row.csv, row.line, f"{text}: {_place(near[row.image])}.", "warning")
            if group in subjects and group not in told and name not in pictures:
                text = f"the subject {group} is also in the other split: {_place(subjects[group])}."
                yield Problem(row.csv, row.line, text, "warning")
            told |= {name, group}
        for row in rows:
            pictures.setdefault(names[row.image], row)
            # An image that belongs to no known subject is named by its path, which two roots may well share.
            if not row.known_by_path:
                subjects.setdefault(row.group, row)


def _place(row: Row) -> str:
    return f"{row.image_path} of {row.root.name}, {row.csv.name}, line {row.line}"


def _alike(
    rows: Sequence[Row], earlier: Sequence[Row], thumbnails: Mapping[Path, NDArray[np.float32]]
) -> Iterator[tuple[Path, Row]]:
    """Yield the images of rows that look like an earlier one, and that one."""
    images = [image for image in dict.fromkeys(row.image for row in rows) if image in thumbnails]
    known = [row for row in earlier if row.image in thumbnails]
    if not images or not known:
        return
    table = np.stack([thumbnails[row.image] for row in known]).T
    for start in range(0, len(images), _ROWS_AT_ONCE):
        part = images[start : start + _ROWS_AT_ONCE]
        correlation = np.stack([thumbnails[image] for image in part]) @ table
        best = correlation.argmax(axis=1)
        for image, index, value in zip(part, best, correlation.max(axis=1), strict=True):
            if value > ALIKE:
                yield image, known[index]
