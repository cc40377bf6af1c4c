"""What a compressed frame says of itself: its size and, for JPEG, its colour, read from its markers alone.

A DICOM header may lie about both (an RGB label over a YCbCr JPEG is common), so the codestream is believed. Its size is
known before memory is taken to decode it. Only JPEG Lossless leaves the colour to the header, unless an Adobe marker
tells it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
# Lossless with Huffman codes: the process of both lossless JPEG syntaxes of DICOM.
_LOSSLESS = 0xC3
_JPEG2000_START = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Codestream:
    """The head of a JPEG, JPEG-LS or JPEG 2000 stream.

    Attributes
    ----------
    height, width, components : int
    precision : int
        Bits of a sample.
    colour : str
        What three components are by the stream's own evidence: "YCbCr", "RGB", or "" where it gives none (always so
        in JPEG-LS and JPEG 2000).
    lossless : bool
        Whether it is JPEG Lossless, which libjpeg decodes but never converts from one colour model to another.
    """

    height: int
    width: int
    components: int
    precision: int
    colour: str = ""
    lossless: bool = False


def read_codestream(data: bytes) -> Codestream | None:
    """Return the head of a compressed frame, or None where the bytes are no such stream."""
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        start = data.find(_JPEG2000_START, 0, 4096)
        return _jpeg2000(data[start:]) if start >= 0 else None
    except (struct.error, IndexError):
        return None


def _jpeg(data: bytes) -> Codestream | None:
    position = 2
    jfif, adobe = False, -1
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, position + 2)[0]
        segment = data[position + 4 : position + 2 + length]
        if marker == 0xE0 and segment[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        elif marker in _START_OF_FRAME:
            precision, height, width, components = struct.unpack_from(">BHHB", segment)
            parts = [(segment[6 + 3 * k], segment[7 + 3 * k]) for k in range(components)]
            colour = _jpeg_colour(marker, jfif, adobe, parts) if components == 3 else ""
            return Codestream(height, width, components, precision, colour, marker == _LOSSLESS)
        elif marker in (0xD9, 0xDA):
            return None
        position += 2 + length
    return None


def _jpeg_colour(marker: int, jfif: bool, adobe: int, parts: list[tuple[int, int]]) -> str:
    """Return the colour of a three-component JPEG from its markers, component ids and subsampling."""
    if marker == 0xF7:
        return ""
    if adobe in (0, 1):
        return "YCbCr" if adobe else "RGB"
    if marker == _LOSSLESS:
        # The samples are stored as they came; JFIF and component ids tell the encoder's habit rather than the colour.
        return ""
    if jfif:
        return "YCbCr"
    if [ident for ident, _ in parts] == [82, 71, 66]:
        return "RGB"
    subsampled = len({sampling for _, sampling in parts}) > 1
    return "YCbCr" if subsampled else ""


def _jpeg2000(data: bytes) -> Codestream:
    x_end, y_end, x_start, y_start = struct.unpack_from(">LLLL", data, 8)
    components, precision = struct.unpack_from(">HB", data, 40)
    return Codestream(y_end - y_start, x_end - x_start, components, (precision & 0x7F) + 1)
