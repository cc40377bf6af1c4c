"""Where each frame's bytes lie in a DICOM file, found without reading a pixel.

Uncompressed frames lie one after another. Compressed frames are items (fragments), one or several a frame: their
headers are walked once, and an offset table, where there is one that fits, says which fragments belong together.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from m2dino.cine.file_bytes import FileBytes
from m2dino.errors import TruncatedLoopError, UnsupportedLoopError

UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0"
# First bytes of a JPEG, JPEG-LS or JPEG 2000 stream: a frame begins with one, a continued fragment does not.
_FRAME_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")


@dataclass(frozen=True)
class Fragment:
    """A run of bytes of the file: offset and length."""

    offset: int
    length: int


FrameBytes = tuple[Fragment, ...]
"""The fragments that make up one frame, in order."""


def native_frames(path: Path, start: int, available: int, frames: int, frame_bytes: int) -> list[FrameBytes]:
    """Return the place of every uncompressed frame.

    Parameters
    ----------
    path : Path
        For messages.
    start, available : int
        Offset of the first pixel byte, and the number of bytes from there to the end of the pixel data or the file.
    frames, frame_bytes : int
        As the header claims.

    Raises
    ------
    TruncatedLoopError
        The file holds fewer frames than its header claims.
    """
    if frames * frame_bytes > available:
        raise TruncatedLoopError(
            f"{path} holds {max(available, 0) // frame_bytes} whole frames of the {frames} that its header claims: "
            "it was cut short or its header is damaged; copy it again from its source."
        )
    return [(Fragment(start + frame_bytes * k, frame_bytes),) for k in range(frames)]


def encapsulated_frames(
    file: FileBytes, path: Path, start: int, frames: int, extended: Sequence[int] = ()
) -> list[FrameBytes]:
    """Return the fragments of every compressed frame.

    Parameters
    ----------
    file : FileBytes
    path : Path
        For messages.
    start : int
        Offset of the first item, which is the basic offset table.
    frames : int
        As the header claims.
    extended : sequence of int
        The extended offset table, where the file has one.

    Raises
    ------
    TruncatedLoopError
        A fragment runs past the end of the file, or there are fewer fragments than frames.
    UnsupportedLoopError
        The pixel data is not a sequence of items, or its fragments cannot be shared out among the frames.
    """
    table, fragments = _walk(file, path, start)
    if len(fragments) < frames:
        raise TruncatedLoopError(
            f"{path} holds {len(fragments)} of the {frames} frames that its header claims: "
            "it was cut short or its header is damaged; copy it again from its source."
        )
    if len(fragments) == frames:
        return [(fragment,) for fragment in fragments]
    if frames == 1:
        return [tuple(fragments)]
    for offsets in (extended, table):
        starts = _starts_by_table(fragments, offsets, frames)
        if starts:
            return _grouped(fragments, starts)
    starts = [k for k, fragment in enumerate(fragments) if _begins_frame(file, fragment)]
    if len(starts) == frames and starts[0] == 0:
        return _grouped(fragments, starts)
    raise UnsupportedLoopError(
        f"{path} does not say which of its {len(fragments)} fragments make up which of its {frames} frames; "
        "export the loop again."
    )


def _walk(file: FileBytes, path: Path, start: int) -> tuple[list[int], list[Fragment]]:
    """Return the basic offset table and the place of every fragment."""
    size = file.size
    position = start
    table: list[int] = []
    fragments: list[Fragment] = []
    first = True
    while position + 8 <= size:
        head = file.read(position, 8)
        length = struct.unpack("<L", head[4:])[0]
        if head[:4] == _END:
            return table, fragments
        if head[:4] != _ITEM:
            if fragments or not first:
                break
            raise UnsupportedLoopError(f"{path} has damaged pixel data; copy it again from its source.")
        if position + 8 + length > size:
            raise TruncatedLoopError(f"{path} ends inside frame data: it was cut short; copy it again from its source.")
        if first:
            table = list(struct.unpack(f"<{length // 4}L", file.read(position + 8, length // 4 * 4)))
            first = False
        elif length:
            fragments.append(Fragment(position + 8, length))
        position += 8 + length
    # Without the closing item: the frames may still all be there, which the caller checks.
    return table, fragments


def _starts_by_table(fragments: list[Fragment], offsets: Sequence[int], frames: int) -> list[int]:
    """Return the index of the first fragment of each frame, or nothing where the table does not fit the fragments."""
    if len(offsets) != frames or not fragments:
        return []
    base = fragments[0].offset - 8
    items = [fragment.offset - 8 - base for fragment in fragments]
    starts = [bisect_left(items, offset) for offset in offsets]
    fits = all(k < len(items) and items[k] == offset for k, offset in zip(starts, offsets, strict=True))
    rising = all(a < b for a, b in pairwise(starts))
    return starts if fits and rising and starts[0] == 0 else []


def _begins_frame(file: FileBytes, fragment: Fragment) -> bool:
    return file.read(fragment.offset, 4).startswith(_FRAME_STARTS)


def _grouped(fragments: list[Fragment], starts: list[int]) -> list[FrameBytes]:
    return [tuple(fragments[a:b]) for a, b in zip(starts, [*starts[1:], len(fragments)], strict=True)]
