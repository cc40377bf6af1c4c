"""COCO files, of our own export or of another program, as values of a task on a loop."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from m2dino.cine.loop import CineLoop
from m2dino.errors import DatasetError
from m2dino.export.frame_match import FrameMatcher
from m2dino.export.rle import decode_rle
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints, Mask, Value

# What a coordinate that went through another program's rounding may be off, in pixels.
_SAME = 1e-6


def read_coco(path: Path, task: Task, loop: CineLoop, first_frame: int = 0) -> dict[int, Value]:
    """Return the values of a COCO file for the frames of a loop.

    Categories are matched to the task's labels by name, in any case of letters; points by the names of the category's
    keypoints, in any order. Several annotations of one class on a frame are joined; where classes overlap, the later
    annotation lies on top. An image without annotations counts as empty only in our own files, which list annotated
    frames alone: there its mask is all background. Images are matched to frames as `frame_match` says.

    Parameters
    ----------
    path : Path
        The JSON file.
    task : Task
        Of segmentation (run lengths or polygons), detection (one box a frame) or regression (one set of points).
    loop : CineLoop
    first_frame : int
        The number of the loop's first frame in the names of the images.

    Returns
    -------
    dict of int to Mask, Box or Keypoints
        By frame, in order.

    Raises
    ------
    DatasetError
        The file is no COCO file or damaged, its categories are not the task's labels, or an image is no frame of the
        loop.
    """
    return _Reader(Path(path), task, loop).read(first_frame)


class _Reader:
    def __init__(self, path: Path, task: Task, loop: CineLoop) -> None:
        self.path, self.task, self.loop = path, task, loop

    def fail(self, text: str) -> NoReturn:
        raise DatasetError(f"{self.path}: {text}")

    def read(self, first_frame: int) -> dict[int, Value]:
        if self.task.type == "classification":
            self.fail(f"COCO has no place for the class of a frame, which the task {self.task.id} asks for.")
        content = self._content()
        try:
            images = {image["id"]: image for image in content["images"]}
            of_image: dict[Any, list[dict[str, Any]]] = {number: [] for number in images}
            for entry in content["annotations"]:
                of_image.setdefault(entry["image_id"], []).append(entry)
            categories = {category["id"]: category for category in content["categories"]}
            matcher = FrameMatcher(self.loop, self.path, first_frame, len(images))
            used = {entry["category_id"] for entry in content["annotations"]}
        except (KeyError, TypeError, AttributeError):
            self.fail("this is no COCO file: it needs the lists images, annotations and categories, each with its ids.")
        if set(of_image) - set(images) or used - set(categories):
            self.fail("an annotation refers to an image or a category that is not in the file.")
        own = {number: self._label_of(categories[number]) for number in categories if number in used}
        values: dict[int, Value] = {}
        for number, image in images.items():
            try:
                entries, ours = of_image[number], "fate" in image
                if not entries and not ours:
                    continue
                frame = matcher.frame_of(str(image["file_name"]), image.get("loop_id"), image.get("frame"))
                if frame is None:
                    continue
                self._check_size(image)
                value = self._value(entries, own, categories, frame)
            except (KeyError, TypeError, ValueError, IndexError, OverflowError):
                self.fail(f"the entry of the image {image.get('file_name')!r} is damaged.")
            if value is not None:
                values[frame] = value
        if not values:
            self.fail("no annotation in it is of this loop.")
        return dict(sorted(values.items()))

    def _content(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            self.fail(f"the file cannot be read ({error.strerror}).")
        except (ValueError, RecursionError):
            self.fail("this is no JSON file, or it is damaged.")
        if not isinstance(content, dict):
            self.fail("this is no COCO file: it needs the lists images, annotations and categories, each with its ids.")
        return content

    def _label_of(self, category: Mapping[str, Any]) -> list[int]:
        """Return the index of the label that a category is, or of each of its keypoints."""
        names = [name.casefold() for name in self.task.label_names]
        skipped = 1 if self.task.type == "segmentation" else 0
        if self.task.type == "regression":
            listed = category.get("keypoints")
            theirs = [str(name) for name in listed] if isinstance(listed, list) else []
            if sorted(name.casefold() for name in theirs) != sorted(names):
                self._mismatch("keypoints", theirs, self.task.label_names)
            return [names.index(name.casefold()) for name in theirs]
        name = str(category.get("name")).casefold()
        if name not in names[skipped:]:
            self._mismatch("the category", [str(category.get("name"))], self.task.label_names[skipped:])
        return [names.index(name)]

    def _mismatch(self, what: str, theirs: list[str], ours: tuple[str, ...]) -> NoReturn:
        self.fail(
            f"{what} {', '.join(map(repr, theirs)) or 'without names'} cannot be matched to the task {self.task.id}, "
            f"whose labels are {', '.join(map(repr, ours))}; rename the one or the other, or choose another task."
        )

    def _check_size(self, image: Mapping[str, Any]) -> None:
        if (image["height"], image["width"]) != (self.loop.height, self.loop.width):
            self.fail(
                f"the image {image['file_name']!r} is {image['width']} × {image['height']} pixels, the loop's frames "
                f"are {self.loop.width} × {self.loop.height}: it is not of this loop, or was resized."
            )

    def _value(
        self,
        entries: list[dict[str, Any]],
        labels: Mapping[Any, list[int]],
        categories: Mapping[Any, Mapping[str, Any]],
        frame: int,
    ) -> Value | None:
        if self.task.type == "segmentation":
            mask = np.zeros((self.loop.height, self.loop.width), np.uint8)
            for entry in entries:
                mask[self._pixels(entry, frame)] = labels[entry["category_id"]][0]
            return Mask(mask)
        if len(entries) > 1:
            what = "boxes" if self.task.type == "detection" else "sets of points"
            self.fail(f"frame {frame} has {len(entries)} {what}, but {self.task.id} has one a frame: delete the rest.")
        if not entries:
            return None
        if self.task.type == "detection":
            return _box(entries[0])
        return self._points(entries[0], labels[entries[0]["category_id"]])

    def _pixels(self, entry: Mapping[str, Any], frame: int) -> NDArray[np.bool_]:
        size = (self.loop.height, self.loop.width)
        shape = entry.get("segmentation")
        if isinstance(shape, dict):
            if tuple(shape["size"]) != size:
                raise ValueError("a mask of another size")
            return decode_rle(shape["counts"], size)
        if not shape:
            self.fail(
                f"frame {frame} has an annotation without a mask, which the segmentation task {self.task.id} needs."
            )
        inside = np.zeros(size, bool)
        for ring in shape:
            corners = np.array(ring, dtype=np.float64).reshape(-1, 2)
            if not np.isfinite(corners).all():
                raise ValueError("a corner that is nowhere")
            # COCO counts from the corner of the first pixel, we from its centre.
            inside[polygon(corners[:, 1] - 0.5, corners[:, 0] - 0.5, size)] = True
        return inside

    def _points(self, entry: Mapping[str, Any], order: list[int]) -> Keypoints:
        triples = np.array(entry["keypoints"], dtype=np.float64).reshape(len(order), 3)
        points = np.full((self.task.num_classes, 2), math.nan)
        for index, (x, y, visibility) in zip(order, triples.tolist(), strict=True):
            if visibility > 0:
                if not (math.isfinite(x) and math.isfinite(y)):
                    raise ValueError("a point that is nowhere")
                points[index] = (y, x)
        return Keypoints(points)


def _box(entry: Mapping[str, Any]) -> Box:
    x, y, width, height = (float(number) for number in entry["bbox"])
    edges = (y, x, y + height, x + width)
    exact = tuple(float(edge) for edge in entry.get("box", edges))
    # `box` has the last digits, unless another program has moved the box since.
    same = len(exact) == 4 and all(
        math.isclose(a, b, rel_tol=_SAME, abs_tol=_SAME) for a, b in zip(edges, exact, strict=True)
    )
    return Box(*(exact if same else edges))
