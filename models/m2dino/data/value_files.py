"""Values as text and files: masks become PNG files named by their content, everything else becomes JSON.

A content name makes a value file immutable: it is written once, never replaced, and an accepted proposal shares the
file of the proposal.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m2dino.cine.loop import Frame
from m2dino.data.cropping import Region
from m2dino.data.image_files import mask_pixels
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Prediction, Value

# Level 2 is the knee: level 6 takes three times as long for a tenth less.
_COMPRESSION = 2
_MASK_NAME = re.compile(r"[0-9a-f]{40}\.png")


@dataclass(frozen=True)
class Encoded:
    """A value ready to store: its text, and the name and bytes of its file where it has one."""

    text: str
    file: tuple[str, bytes] | None = None


def encode_record_value(value: Value, region: Region | None) -> Encoded:
    """Return the stored form of a record's value with the part of the frame that the network is shown, if not all.

    Older versions of the program read the value and pass over the region.
    """
    encoded = encode_value(value)
    if region is None:
        return encoded
    return Encoded(json.dumps({**json.loads(encoded.text), "region": list(region)}), encoded.file)


def decode_region(text: str | None) -> Region | None:
    """Return the region in the stored form of a record's value; None where there is none."""
    region = json.loads(text).get("region") if text else None
    if region is None:
        return None
    y_min, x_min, y_max, x_max = (int(edge) for edge in region)
    return y_min, x_min, y_max, x_max


def encode_value(value: Value) -> Encoded:
    """Return the stored form of a value; equal values have equal texts."""
    if isinstance(value, Mask):
        name = mask_name(value.labels)
        return Encoded(json.dumps({"mask": name}), (name, png_bytes(value.labels)))
    if isinstance(value, Box):
        return Encoded(json.dumps({"box": [float(edge) for edge in value.as_tuple()]}))
    if isinstance(value, Keypoints):
        points = [None if math.isnan(y) else [y, x] for y, x in value.points.tolist()]
        return Encoded(json.dumps({"points": points}))
    return Encoded(json.dumps({"probabilities": value.probabilities.tolist()}))


def decode_value(text: str, folder: Path) -> Value:
    """Return the value of a stored text, reading its file from `folder` where it has one.

    Raises
    ------
    DatasetError
        The file is missing or damaged.
    ValueError, KeyError
        The text is not one that `encode_value` wrote.
    """
    data = json.loads(text)
    if "mask" in data:
        return Mask(mask_pixels(folder / data["mask"]))
    if "box" in data:
        return Box(*data["box"])
    if "points" in data:
        points = [[math.nan, math.nan] if point is None else point for point in data["points"]]
        return Keypoints(np.array(points, dtype=np.float64).reshape(-1, 2))
    return ClassProbabilities(np.array(data["probabilities"]))


def encode_proposal(proposal: Prediction) -> Encoded:
    """Return the stored form of a prediction, without its frame and task, which its record names."""
    value = encode_value(proposal.value)
    data = {
        "value": json.loads(value.text),
        "confidence": float(proposal.confidence),
        "model_id": proposal.model_id,
    }
    return Encoded(json.dumps(data), value.file)


def decode_proposal(text: str, frame: int, task_id: str, folder: Path) -> Prediction:
    """Return the prediction of a stored text; errors as `decode_value`."""
    data = json.loads(text)
    value = decode_value(json.dumps(data["value"]), folder)
    return Prediction(frame, task_id, value, data["confidence"], data["model_id"])


def value_file_of(text: str | None) -> str | None:
    """Return the name of the file that a stored value or proposal needs, or None."""
    data: dict[str, Any] = json.loads(text) if text else {}
    name = data.get("value", data).get("mask")
    return str(name) if name is not None else None


def encode_frame(frame: Frame) -> bytes:
    """Return a frame, (H, W, 3) uint8 RGB, as PNG bytes: in grey where it is grey, which reads back the same."""
    red = frame[..., 0]
    grey = np.array_equal(red, frame[..., 1]) and np.array_equal(red, frame[..., 2])
    return png_bytes(red if grey else frame)


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Return (H, W) or (H, W, 3) uint8 pixels as PNG."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=_COMPRESSION)
    return stream.getvalue()


def mask_name(labels: NDArray[np.uint8]) -> str:
    """Return the name of the file that holds a mask, (H, W) uint8 class indices."""
    # Named by the pixels, not by the PNG bytes, which differ between versions of the compressor.
    digest = hashlib.sha256(f"{labels.shape[0]}x{labels.shape[1]}\n".encode() + labels.tobytes())
    return f"{digest.hexdigest()[:40]}.png"


def is_mask_name(name: str) -> bool:
    """Whether a file has a name as `mask_name` gives it, so that its content can be compared with it."""
    return _MASK_NAME.fullmatch(name) is not None
