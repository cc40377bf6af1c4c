"""Comments inside compressed frames: text that no header shows, taken out without decoding."""

from __future__ import annotations

import struct

_COMMENT = 0xFE
_J2K_COMMENT = 0xFF64
_J2K_FIRST_TILE = 0xFF90


def without_comments(data: bytes) -> bytes:
    """Return a JPEG, JPEG-LS or JPEG 2000 stream without comments and application data.

    What says how the colours are stored (JFIF, Adobe, and JPEG-LS's and HP's colour transforms) stays. Anything else,
    and a stream that does not begin as such, comes back as it is.
    """
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        return _jpeg2000(data) if data[:2] == b"\xff\x4f" else data
    except (struct.error, IndexError):
        return data


def _jpeg(data: bytes) -> bytes:
    kept = [data[:2]]
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xDA:
            break
        length = struct.unpack_from(">H", data, position + 2)[0]
        segment = data[position : position + 2 + length]
        if not _is_text(marker, segment):
            kept.append(segment)
        position += 2 + length
    return b"".join(kept) + data[position:]


def _is_text(marker: int, segment: bytes) -> bool:
    if marker == _COMMENT:
        return True
    if not 0xE0 <= marker <= 0xEF:
        return False
    return not segment[4:].startswith((b"JFIF\0", b"Adobe", b"mrfx"))


def _jpeg2000(data: bytes) -> bytes:
    kept = [data[:2]]
    position = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _J2K_FIRST_TILE:
            return b"".join(kept) + data[position:]
        if marker != _J2K_COMMENT:
            kept.append(data[position : position + 2 + length])
        position += 2 + length
