"""From the compressed bytes of one DICOM frame to its samples, by transfer syntax.

Frames go straight to the codec: building a data set around each of them, as `pydicom`'s pixel array does, costs several
times the decoding.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from m2dino.cine.codestream import Codestream, read_codestream
from m2dino.cine.dicom_header import DEFLATED
from m2dino.cine.dicom_layout import PixelLayout
from m2dino.errors import UnsupportedTransferSyntaxError

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED}
RLE = "1.2.840.10008.1.2.5"
# A run packs at most 128 bytes into 2, so a short segment cannot fill a large frame.
MOST_BY_RLE = 64
_JPEG = "JPEG8"
_JPEG_LS = "JPEGLS"
_JPEG_2000 = "JPEG2K"
# A JPEG or JPEG-LS stream ends with this marker; a few bytes of padding may follow.
_END_OF_IMAGE = b"\xff\xd9"
# Transfer syntax: (name for people, codec of imagecodecs)
_SYNTAXES = {
    "1.2.840.10008.1.2.4.50": ("JPEG Baseline", _JPEG),
    "1.2.840.10008.1.2.4.51": ("JPEG Extended", _JPEG),
    "1.2.840.10008.1.2.4.57": ("JPEG Lossless", _JPEG),
    "1.2.840.10008.1.2.4.70": ("JPEG Lossless", _JPEG),
    "1.2.840.10008.1.2.4.80": ("JPEG-LS Lossless", _JPEG_LS),
    "1.2.840.10008.1.2.4.81": ("JPEG-LS Near-Lossless", _JPEG_LS),
    "1.2.840.10008.1.2.4.90": ("JPEG 2000 Lossless", _JPEG_2000),
    "1.2.840.10008.1.2.4.91": ("JPEG 2000", _JPEG_2000),
    "1.2.840.10008.1.2.4.201": ("High-Throughput JPEG 2000 Lossless", _JPEG_2000),
    "1.2.840.10008.1.2.4.202": ("High-Throughput JPEG 2000 Lossless RPCL", _JPEG_2000),
    "1.2.840.10008.1.2.4.203": ("High-Throughput JPEG 2000", _JPEG_2000),
    RLE: ("RLE", ""),
    **dict.fromkeys(NATIVE, ("uncompressed", "")),
    DEFLATED: ("deflated", ""),
}


class DamagedFrameError(Exception):
    """The bytes of a frame do not decode; the caller says which frame of which file."""


def codec_name(path: Path, syntax: str) -> str:
    """Return the name of a transfer syntax's compression, for people.

    Raises
    ------
    UnsupportedTransferSyntaxError
        Nothing here decodes it.
    """
    name, codec = _SYNTAXES.get(syntax, (None, ""))
    if name is None:
        raise UnsupportedTransferSyntaxError(
            f"{path} is compressed as {_known_name(syntax)}, which cannot be decoded here; install the GDCM tools "
            "(libgdcm-tools) and rewrite it uncompressed with gdcmconv --raw."
        )
    if codec and not getattr(imagecodecs, codec).available:
        raise UnsupportedTransferSyntaxError(
            f"{path} is compressed as {_known_name(syntax)}, which this build of imagecodecs lacks; "
            "install a full one: pip install imagecodecs."
        )
    return name


def _known_name(syntax: str) -> str:
    name = UID(syntax).name
    return f"{name} ({syntax})" if name != syntax else f"transfer syntax {syntax}"


def decode_compressed(syntax: str, data: bytes, layout: PixelLayout) -> tuple[NDArray[Any], str]:
    """Decode one compressed frame.

    Parameters
    ----------
    syntax : str
        Transfer syntax UID.
    data : bytes
        The frame's fragments, joined.
    layout : PixelLayout

    Returns
    -------
    samples : ndarray, shape (H, W) or (H, W, 3)
        As stored; a colour JPEG that is not lossless comes as RGB uint8.
    colour : str
        "RGB" or "YCbCr" for three samples; "" for one.

    Raises
    ------
    DamagedFrameError
        The bytes do not decode to a frame of the loop's size.
    """
    if syntax == RLE:
        samples = _decode_rle(data, layout)
        return samples, _colour_by_header(layout) if samples.ndim == 3 else ""
    head = read_codestream(data)
    if head is None or (head.height, head.width) != (layout.height, layout.width) or head.components not in (1, 3):
        raise DamagedFrameError
    codec = _SYNTAXES[syntax][1]
    if codec != _JPEG_2000 and data.rfind(_END_OF_IMAGE, max(len(data) - 1024, 0)) < 0:
        # Without its end, libjpeg would fill the rest with grey and say nothing, and CharLS search for ten seconds.
        raise DamagedFrameError
    try:
        if codec == _JPEG:
            return _decode_jpeg(data, head, layout)
        samples = imagecodecs.jpegls_decode(data) if codec == _JPEG_LS else imagecodecs.jpeg2k_decode(data)
    except (RuntimeError, ValueError, TypeError, MemoryError, OverflowError) as error:
        raise DamagedFrameError from error
    return samples, _colour_by_header(layout) if samples.ndim == 3 else ""


def _decode_jpeg(data: bytes, head: Codestream, layout: PixelLayout) -> tuple[NDArray[Any], str]:
    if head.components == 1:
        return imagecodecs.jpeg8_decode(data), ""
    colour = head.colour or ("RGB" if layout.photometric == "RGB" else "YCbCr")
    # libjpeg refuses to convert the colours of a lossless stream: its samples are asked for as they are stored.
    shown = colour if head.lossless else "RGB"
    return imagecodecs.jpeg8_decode(data, colorspace=colour.upper(), outcolorspace=shown.upper()), shown


def _colour_by_header(layout: PixelLayout) -> str:
    """Return the colour of decoded samples; the codecs themselves undo YBR_ICT and YBR_RCT."""
    return "YCbCr" if layout.photometric in ("YBR_FULL", "YBR_FULL_422") else "RGB"


def _decode_rle(data: bytes, layout: PixelLayout) -> NDArray[Any]:
    """Decode DICOM's run-length encoding: one PackBits segment for each byte of each sample, high byte first."""
    bytes_each = layout.bits_allocated // 8
    wanted = layout.samples * bytes_each
    pixels = layout.height * layout.width
    if len(data) < 64:
        raise DamagedFrameError
    count, *offsets = struct.unpack_from("<16L", data)
    if count != wanted or any(not 64 <= offset <= len(data) for offset in offsets[:count]):
        raise DamagedFrameError
    ends = [*offsets[1:count], len(data)]
    if len(data) * MOST_BY_RLE < wanted * pixels:
        raise DamagedFrameError
    planes = np.empty((wanted, pixels), dtype=np.uint8)
    for k, (start, end) in enumerate(zip(offsets[:count], ends, strict=True)):
        if (end - start) * MOST_BY_RLE < pixels:
            raise DamagedFrameError
        try:
            plane = np.frombuffer(imagecodecs.packbits_decode(data[start:end]), dtype=np.uint8)
        except (RuntimeError, ValueError) as error:
            raise DamagedFrameError from error
        if plane.size < pixels:
            raise DamagedFrameError
        planes[k] = plane[:pixels]
    wide: NDArray[Any] = planes[0::2].astype(np.uint16) << 8 | planes[1::2] if bytes_each == 2 else planes
    samples = wide.reshape(layout.samples, layout.height, layout.width)
    return samples[0] if layout.samples == 1 else np.ascontiguousarray(samples.transpose(1, 2, 0))
