"""Whether a video is as long as its container says: a cut one would otherwise pass for a shorter loop."""

from __future__ import annotations

import struct
from pathlib import Path

from m2dino.errors import TruncatedLoopError

_HEAD_BYTES = 8192
_TAIL_BYTES = 512
_EBML = b"\x1aE\xdf\xa3"
_MATROSKA_SEGMENT = b"\x18\x53\x80\x67"
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def check_whole(path: Path) -> None:
    """Refuse an AVI, Matroska, Windows Media or GIF file that ends before its own end.

    MP4 is not asked here: without its index it does not open at all.

    Raises
    ------
    TruncatedLoopError
        The file is shorter than its container claims.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL_BYTES, 0))
        tail = file.read()
    unfinished = head[:4] == b"GIF8" and not tail.rstrip(b"\0").endswith(b";")
    if unfinished or (_claimed_size(head) or 0) > size:
        raise TruncatedLoopError(
            f"{path} is shorter than it claims: it was cut short or never finished; copy it again from its source."
        )


def _claimed_size(head: bytes) -> int | None:
    """Return the number of bytes that a file has to have, or None where its head does not say."""
    try:
        if head[:4] == b"RIFF":
            claimed = int(struct.unpack_from("<L", head, 4)[0])
            # Recorders that never came to write the length leave one of these.
            return None if claimed in (0, 0xFFFFFFFF) else claimed + 8
        if head[:4] == _EBML:
            return _matroska_size(head)
        at = head.find(_ASF_PROPERTIES)
        return int(struct.unpack_from("<Q", head, at + 40)[0]) if at >= 0 and head[:4] == b"\x30\x26\xb2\x75" else None
    except struct.error:
        return None


def _matroska_size(head: bytes) -> int | None:
    at = head.find(_MATROSKA_SEGMENT)
    if at < 0 or at + 5 > len(head):
        return None
    first = head[at + 4]
    width = 9 - first.bit_length()
    if not 1 <= width <= 8 or at + 4 + width > len(head):
        return None
    value = int.from_bytes(head[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
    # All ones: the length is not known, as in a live recording.
    return None if value == (1 << 7 * width) - 1 else at + 4 + width + value
