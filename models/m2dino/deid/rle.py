"""Frames of RGB as DICOM's run-length encoding: lossless, and known to every reader."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np

from m2dino.cine.loop import Frame


def rle_frame(frame: Frame) -> bytes:
    """Return a frame, (H, W, 3) uint8, as one RLE item of three segments, row by row (PS3.5 Annex G)."""
    segments = []
    for channel in range(3):
        plane = np.ascontiguousarray(frame[..., channel])
        packed = imagecodecs.packbits_encode(plane, axis=-1)
        segments.append(bytes(packed) + b"\0" * (len(packed) % 2))
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    return struct.pack("<16L", 3, *offsets, *[0] * 12) + b"".join(segments)
