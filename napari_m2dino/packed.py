"""Values kept small: what a long loop holds in memory of proposals and saved labels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from m2dino.values import Mask, Prediction, Value


@dataclass(frozen=True)
class PackedMask:
    """A mask, compressed: some kilobytes where the mask itself is a megabyte."""

    shape: tuple[int, int]
    content: bytes


Packed = PackedMask | Value


def pack(value: Value) -> Packed:
    """Return the value in its small form; the inverse of `unpack`."""
    if isinstance(value, Mask):
        height, width = value.labels.shape
        return PackedMask((height, width), zlib.compress(value.labels.tobytes(), level=1))
    return value


def unpack(packed: Packed) -> Value:
    """Return the value as it was before `pack`."""
    if isinstance(packed, PackedMask):
        return Mask(np.frombuffer(zlib.decompress(packed.content), np.uint8).reshape(packed.shape))
    return packed


@dataclass(frozen=True)
class PackedPrediction:
    """A prediction whose value is kept in its small form."""

    frame: int
    task_id: str
    packed: Packed
    confidence: float
    model_id: str

    @classmethod
    def of(cls, prediction: Prediction) -> PackedPrediction:
        """Return the small form of a prediction."""
        p = prediction
        return cls(p.frame, p.task_id, pack(p.value), p.confidence, p.model_id)

    def whole(self) -> Prediction:
        """Return the prediction as it was."""
        return Prediction(self.frame, self.task_id, unpack(self.packed), self.confidence, self.model_id)
