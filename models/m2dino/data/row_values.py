"""The label of a row as a value: what a person would have drawn, and what a prediction is scored against."""

from __future__ import annotations

from m2dino.data.image_files import load_mask
from m2dino.data.rows import Row
from m2dino.errors import DatasetError
from m2dino.values import ClassProbabilities, Value


def label_value(row: Row) -> Value:
    """Return the label of a row, reading its mask where it has one.

    Raises
    ------
    DatasetError, MissingFileError
        The row has no label, or its mask is missing, damaged or holds a class that the task does not have.
    """
    if row.type == "segmentation":
        return load_mask(row)
    if row.label is None:
        raise DatasetError(f"{row.csv}, line {row.line}: this row has no label.")
    return ClassProbabilities.certain(row.label, row.num_classes) if isinstance(row.label, int) else row.label
