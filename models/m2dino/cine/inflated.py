"""Bytes that are stored deflated, inflated once into a nameless temporary file that the system removes by itself."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from m2dino.cine.file_bytes import FileBytes
from m2dino.errors import TruncatedLoopError, UnsupportedLoopError

# Far more than any deflated loop known; a damaged or malicious file could otherwise fill the disk.
MAX_INFLATED_BYTES = 3 * 2**27
_CHUNK = 2**20
_GZIP = b"\x1f\x8b"


class InflatedBytes(FileBytes):
    """Random access to the inflated content of a file; what is not kept in memory lies on disk without a name.

    Parameters
    ----------
    path : Path
    head : bytes
        Put before the inflated bytes.
    start : int
        Where in the file the deflated stream (without a zlib header) begins.

    Raises
    ------
    TruncatedLoopError
        The stream ends too soon.
    UnsupportedLoopError
        It is damaged, or inflates to more than `MAX_INFLATED_BYTES`.
    """

    def __init__(self, path: Path, head: bytes, start: int) -> None:
        super().__init__(path)
        self._head = head
        self._start = start
        with self._lock:
            self.size = self._opened().seek(0, 2)

    def _open(self) -> BinaryIO:
        spool = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  # closed by FileBytes
        try:
            spool.write(self._head)
            total = 0
            for piece in inflated(self._path, self._start, -zlib.MAX_WBITS):
                total += len(piece)
                if total > MAX_INFLATED_BYTES:
                    raise UnsupportedLoopError(
                        f"{self._path} is deflated and would need more than {MAX_INFLATED_BYTES >> 20} MiB: "
                        "rewrite it uncompressed, for instance with dcmconv +te of DCMTK."
                    )
                spool.write(piece)
        except BaseException:
            spool.close()
            raise
        return spool


def inflated(path: Path, start: int, window: int) -> Iterator[bytes]:
    """Yield what a deflated stream in a file inflates to, piece by piece, and check its sum where it has one.

    Parameters
    ----------
    path : Path
    start : int
        Offset of the stream.
    window : int
        As zlib's `wbits`: negative without a header, 47 for zlib or gzip (also of several members).

    Raises
    ------
    TruncatedLoopError
        The stream ends too soon; all that was there has been yielded before.
    UnsupportedLoopError
        It is damaged.
    """
    inflater = zlib.decompressobj(window)
    with path.open("rb") as file:
        file.seek(start)
        waiting = b""
        while True:
            waiting = waiting or file.read(_CHUNK)
            try:
                # Without input it may still have some output to give.
                piece = inflater.decompress(waiting, _CHUNK)
            except zlib.error:
                raise UnsupportedLoopError(f"{path} is damaged; copy it again from its source.") from None
            if not (piece or waiting or inflater.eof):
                raise TruncatedLoopError(f"{path} ends too soon: it was cut short; copy it again from its source.")
            waiting = inflater.unconsumed_tail
            yield piece
            if inflater.eof:
                waiting = inflater.unused_data or file.read(_CHUNK)
                if window < 0 or not waiting.startswith(_GZIP):
                    return
                inflater = zlib.decompressobj(window)
