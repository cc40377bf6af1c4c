"""Comments inside compressed frames: text that no header shows, taken out without decoding."""

from __future__ import annotations

import struct

_COMMENT = 0xFE
_GIF_EXTENSION, _GIF_IMAGE = b"!", b","
# Graphic Control, and the application that says how often to repeat.
_GIF_KEPT = (b"!\xf9", b"!\xff\x0bNETSCAPE2.0")
# Whole length of these segments where nothing hangs on them.
_JFIF_BYTES, _ADOBE_BYTES = 18, 16
_J2K_COMMENT = 0xFF64
_J2K_FIRST_TILE = 0xFF90


def without_comments(data: bytes) -> bytes:
    """Return a JPEG, JPEG-LS or JPEG 2000 stream, or the blocks of a GIF, without comments and application data.

    What says how the colours are stored (JFIF, Adobe, and JPEG-LS's and HP's colour transforms) stays. Anything else,
    and a stream that does not begin as such, comes back as it is.
    """
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        if data[:2] == b"\xff\x4f":
            return _jpeg2000(data)
        return _gif(data) if data[:1] in (_GIF_EXTENSION, _GIF_IMAGE) or data[:4] == b"GIF8" else data
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
            kept.append(_bare(segment))
        position += 2 + length
    end = data.rfind(b"\xff\xd9") + 2
    return b"".join(kept) + data[position : end if end > position else len(data)]


def _is_text(marker: int, segment: bytes) -> bool:
    if marker == _COMMENT:
        return True
    if not 0xE0 <= marker <= 0xEF:
        return False
    return not segment[4:].startswith((b"JFIF\0", b"Adobe", b"mrfx"))


def _bare(segment: bytes) -> bytes:
    """Return a segment without what may hang on it: the small picture of a JFIF header shows burnt-in text too."""
    if segment[4:9] == b"JFIF\0" and len(segment) > _JFIF_BYTES:
        return segment[:2] + struct.pack(">H", _JFIF_BYTES - 2) + segment[4 : _JFIF_BYTES - 2] + b"\0\0"
    if segment[4:9] == b"Adobe" and len(segment) > _ADOBE_BYTES:
        return segment[:2] + struct.pack(">H", _ADOBE_BYTES - 2) + segment[4:_ADOBE_BYTES]
    return segment


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


def _gif(data: bytes) -> bytes:
    """Return the blocks of a GIF frame; those of an extension and the packed pixels of an image come in short runs."""
    position = 13 + _palette_bytes(data[10]) if data[:4] == b"GIF8" else 0
    kept = [data[:position]]
    while data[position : position + 1] in (_GIF_EXTENSION, _GIF_IMAGE):
        end = position + 2
        if data[position : position + 1] == _GIF_IMAGE:
            end = position + 11 + _palette_bytes(data[position + 9])
        while data[end]:
            end += 1 + data[end]
        block = data[position : end + 1]
        if block.startswith((*_GIF_KEPT, _GIF_IMAGE)):
            kept.append(block)
        position = end + 1
    return b"".join(kept) + data[position:]


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
