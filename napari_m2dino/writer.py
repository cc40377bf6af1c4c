"""The writers: a task's layer as plain files that any program reads.

Masks become a folder of 8-bit PNG of class indices, one a frame; boxes and points become one CSV table. Coordinates are
original-frame pixels; frames are numbered from 0. Files are written beside their name and then moved into place, so
that an interrupted save leaves no half file.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from m2dino.errors import StoreWriteError, UsageError

from napari_m2dino.layers import box_from_rectangle
from napari_m2dino.loop_layer import loop_of

_OF_A_FRAME = re.compile(r"frame_(?:[0-9]{4}|[1-9][0-9]{4,})\.png")
# No task has so many; a picture of the same name and size has brighter pixels.
_MOST_CLASSES = 64


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Labels layer as PNG files `<stem>/frame_0000.png`, one for each frame that has a label.

    Masks of an earlier save under the same name, of frames that have no label any more, are removed.

    Parameters
    ----------
    path : str
        Name chosen in the dialog, such as `masks.png`; a layer without a time axis is written to it directly.
    data : array-like of int, shape (T, H, W) or (H, W)
    attributes : dict
        The layer's attributes, as napari gives them; not used.

    Returns
    -------
    list of str
        The files written.
    """
    from PIL import Image

    stack = np.asarray(data)
    if stack.ndim not in (2, 3) or stack.max(initial=0) > 255:
        raise UsageError("Only masks of up to 255 classes, with or without a time axis, can be written as PNG.")
    target = Path(path)
    folder = target.with_suffix("")
    if stack.ndim == 2:
        frames = {target: stack}
    else:
        frames = {folder / f"frame_{t:04d}.png": frame for t, frame in enumerate(stack) if frame.any()}
    if not frames:
        raise UsageError("Nothing is painted in this layer yet, so there is nothing to write.")
    if stack.ndim == 3:
        _remove_stale(folder, frames, stack.shape[1:])
    for file, frame in frames.items():
        buffer = io.BytesIO()
        Image.fromarray(frame.astype(np.uint8)).save(buffer, "PNG")
        _replace(file, buffer.getvalue())
    return [str(file) for file in frames]


def _remove_stale(folder: Path, written: Collection[Path], shape: tuple[int, ...]) -> None:
    """Remove the masks that an earlier save left in a folder, of frames whose labels were erased since."""
    try:
        there = list(folder.iterdir()) if folder.exists() else []
        for file in there:
            if file not in written and _OF_A_FRAME.fullmatch(file.name) and _is_mask(file, shape):
                file.unlink()
    except OSError as error:
        raise StoreWriteError(f"{folder} could not be written ({error.strerror}); choose another place.") from error


def _is_mask(file: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file looks like a mask that we wrote: frames saved as pictures may have the same names."""
    from PIL import Image

    try:
        with Image.open(file, formats=("PNG",)) as picture:
            values = np.asarray(picture)
            return picture.mode == "L" and values.shape == shape and int(values.max()) <= _MOST_CLASSES
    except Exception:  # noqa: BLE001 - whatever Pillow makes of it, it is none of ours
        return False


def write_boxes(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Shapes layer as CSV: frame, y_min, x_min, y_max, x_max (pixels, end exclusive), one row a shape."""
    loop = loop_of(_Attributes(attributes))
    height, width = (loop.height, loop.width) if loop else (np.iinfo(np.int32).max,) * 2
    rows = []
    for corners in data:
        frame, box = box_from_rectangle(_with_time(corners), height, width)
        rows.append((frame, *(f"{edge:.3f}" for edge in box.as_tuple())))
    return [_table(path, ("frame", "y_min", "x_min", "y_max", "x_max"), rows)]


def write_points(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Points layer as CSV: frame, name, y, x (pixels), one row a point."""
    features = attributes.get("features")
    names = [] if features is None or "name" not in features else [str(name) for name in features["name"]]
    rows = []
    for index, point in enumerate(_with_time(np.asarray(data))):
        name = names[index] if index < len(names) else ""
        rows.append((round(float(point[0])), name, f"{point[1]:.3f}", f"{point[2]:.3f}"))
    return [_table(path, ("frame", "name", "y", "x"), rows)]


class _Attributes:
    """Layer attributes with `metadata` as an attribute, as a layer has it."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.metadata = attributes.get("metadata") or {}


def _with_time(coordinates: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    array = np.asarray(coordinates, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise UsageError("Only layers in (y, x) or (t, y, x) can be written as CSV.")
    return array if array.shape[1] == 3 else np.insert(array, 0, 0.0, axis=1)


def _table(path: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    _replace(Path(path), text.getvalue().encode())
    return path


def _replace(file: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `file` and move it into place."""
    temporary = ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".writing-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise StoreWriteError(f"{file} could not be written ({error.strerror}); choose another place.") from error
