"""From the uncompressed bytes of one DICOM frame to its samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.dicom_layout import PixelLayout


def decode_native(data: bytes, layout: PixelLayout, little_endian: bool) -> tuple[NDArray[Any], str]:
    """Arrange the bytes of one uncompressed frame.

    Parameters
    ----------
    data : bytes
        Exactly `layout.frame_bytes` bytes.
    layout : PixelLayout
    little_endian : bool
        Byte order of 16-bit samples.

    Returns
    -------
    samples : ndarray, shape (H, W) or (H, W, 3)
        As stored.
    colour : str
        "RGB" or "YCbCr" for three samples; "" for one.
    """
    kind = np.uint8 if layout.bits_allocated == 8 else np.dtype("<u2" if little_endian else ">u2")
    flat = np.frombuffer(data, dtype=kind)
    height, width = layout.height, layout.width
    if layout.samples == 1:
        return flat.reshape(height, width), ""
    if layout.photometric == "YBR_FULL_422":
        return _from_422(flat, height, width), "YCbCr"
    colour = "YCbCr" if layout.photometric == "YBR_FULL" else "RGB"
    if layout.planar:
        return flat.reshape(3, height, width).transpose(1, 2, 0), colour
    return flat.reshape(height, width, 3), colour


def _from_422(flat: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Spread the colour that two neighbouring pixels share: stored are Y1 Y2 Cb Cr."""
    pairs = flat.reshape(height, width // 2, 4)
    full = np.empty((height, width // 2, 2, 3), dtype=flat.dtype)
    full[..., 0] = pairs[..., :2]
    full[..., 1:] = pairs[:, :, None, 2:]
    return full.reshape(height, width, 3)
