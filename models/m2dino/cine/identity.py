"""The identity of a loop: a signature of its content, the same whatever its name, place or header.

It reads the encoded frames, not the file: a header edited or de-identified, or a container written anew around the same
frames, changes nothing. It never sees a name, a date or a modification time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_FULL_BYTES = 16 * 2**20
_SAMPLE_BYTES = 4096


@dataclass(frozen=True)
class EncodedFrame:
    """The encoded bytes of one frame (or of one file of a folder), to be read piece by piece.

    Attributes
    ----------
    size : int
        Number of bytes.
    read : callable
        `read(offset, length)` returns those bytes.
    """

    size: int
    read: Callable[[int, int], bytes]


class ContentSignature:
    """The signature of a loop, from its frames one after another: 32 hexadecimal digits of BLAKE2b.

    The first 16 MiB count in full; of every later frame its size, its middle and its tail do, so that opening a long
    loop stays quick and a change to any frame is still likely to be seen.
    """

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._budget = _FULL_BYTES

    def add(self, frame: EncodedFrame) -> None:
        """Take in the next frame."""
        self._digest.update(frame.size.to_bytes(8, "little"))
        whole = min(frame.size, self._budget)
        self._digest.update(frame.read(0, whole))
        self._budget -= whole
        if whole < frame.size:
            piece = min(_SAMPLE_BYTES, frame.size)
            self._digest.update(frame.read((frame.size - piece) // 2, piece))
            self._digest.update(frame.read(frame.size - piece, piece))

    def finish(self, shape: tuple[int, int, int], way: int = 0) -> str:
        """Return the signature of the frames taken in, as a loop of (frames, height, width).

        `way` tells apart the loops of one shape that the same bytes can be read as; see `m2dino.cine.frame_axis`.
        """
        self._digest.update(" ".join(str(extent) for extent in shape).encode())
        if way:
            self._digest.update(f" way {way}".encode())
        return self._digest.hexdigest()


def content_signature(shape: tuple[int, int, int], frames: Iterable[EncodedFrame], way: int = 0) -> str:
    """Return the signature of a loop of shape (frames, height, width) with these encoded frames, in order.

    `way` is as for `ContentSignature.finish`.
    """
    signature = ContentSignature()
    for frame in frames:
        signature.add(frame)
    return signature.finish(shape, way)
