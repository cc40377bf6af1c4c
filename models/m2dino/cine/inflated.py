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
            for piece in _inflated(self._path, self._start):
                spool.write(piece)
        except BaseException:
            spool.close()
            raise
        return spool


def _inflated(path: Path, start: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    with path.open("rb") as file:
        file.seek(start)
        while not inflater.eof:
            deflated = inflater.unconsumed_tail or file.read(_CHUNK)
            if not deflated:
                raise TruncatedLoopError(f"{path} ends too soon: it was cut short; copy it again from its source.")
            try:
                piece = inflater.decompress(deflated, _CHUNK)
            except zlib.error:
                raise UnsupportedLoopError(f"{path} is damaged; copy it again from its source.") from None
            total += len(piece)
            if total > MAX_INFLATED_BYTES:
                raise UnsupportedLoopError(
                    f"{path} is deflated and would need more than {MAX_INFLATED_BYTES >> 20} MiB: "
                    "rewrite it uncompressed, for instance with dcmconv +te of DCMTK."
                )
            yield piece
