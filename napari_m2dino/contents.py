"""What stands on a frame of a layer, as a `Content` and back: pure functions, each beside its inverse.

Unlike a value, a content holds what is no value yet: a second box, a point without a name, a label that is no class.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable

import numpy as np
from m2dino.data.drafts import Content
from m2dino.values import ClassProbabilities
from numpy.typing import NDArray

PlacedShape = tuple[str, NDArray[np.floating]]
"""Kind of shape as napari names it, and its corners, (N, 2) in (y, x) layer pixels."""
PlacedPoint = tuple[str, float, float]
"""Name, y and x, layer pixels."""


def content_of_labels(labels: NDArray[np.generic]) -> Content:
    """Return the content of a painted frame, (H, W) integers."""
    array = np.ascontiguousarray(labels)
    known = {"size": list(array.shape), "kind": str(array.dtype)}
    return Content(json.dumps(known), zlib.compress(array.tobytes(), level=1))


def labels_of_content(content: Content) -> NDArray[np.generic]:
    """Return the painted frame, (H, W) integers."""
    known = json.loads(content.text)
    return np.frombuffer(zlib.decompress(content.pixels), known["kind"]).reshape(known["size"])


def content_of_shapes(shapes: Iterable[PlacedShape]) -> Content:
    """Return the content of the shapes on a frame."""
    return Content(json.dumps({"shapes": [[kind, np.asarray(corners).tolist()] for kind, corners in shapes]}))


def shapes_of_content(content: Content) -> list[PlacedShape]:
    """Return the shapes on a frame."""
    return [(kind, np.array(corners, dtype=np.float64)) for kind, corners in json.loads(content.text)["shapes"]]


def content_of_points(points: Iterable[PlacedPoint]) -> Content:
    """Return the content of the points on a frame."""
    return Content(json.dumps({"points": [[name, float(y), float(x)] for name, y, x in points]}))


def points_of_content(content: Content) -> list[PlacedPoint]:
    """Return the points on a frame."""
    return [(name, y, x) for name, y, x in json.loads(content.text)["points"]]


def content_of_class(value: ClassProbabilities | None) -> Content:
    """Return the content of the class of a frame; None is no class."""
    return Content(json.dumps({"probabilities": None if value is None else value.probabilities.tolist()}))


def class_of_content(content: Content) -> ClassProbabilities | None:
    """Return the class of a frame."""
    known = json.loads(content.text)["probabilities"]
    return None if known is None else ClassProbabilities(np.array(known))
