"""The pixels of a volume, plane by plane: mapped where they lie, or unpacked once into a nameless temporary file."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.inflated import inflated
from m2dino.cine.mapped import MappedArray
from m2dino.cine.volume_header import VolumeHeader, damaged
from m2dino.errors import TruncatedLoopError, UnsupportedLoopError
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop

# More than any loop known; what it needs on the disk is freed when the loop is closed.
MOST_UNPACKED_BYTES = 2**32
# zlib or gzip, whichever it is.
_ANY_WINDOW = 47
_NO_MORE = 2**20


class VolumePixels:
    """Planes of a volume whose pixels lie one after another.

    Parameters
    ----------
    path : Path
        For messages.
    header : VolumeHeader
        With a layout.
    shape : tuple of int
        The slowest axis first; the samples of a pixel last, where there are several.
    dtype : dtype

    Raises
    ------
    UnsupportedLoopError
        It is packed and larger than the disk has room for, or than any loop.
    """

    def __init__(self, path: Path, header: VolumeHeader, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path, self._header, self._shape, self._dtype = path, header, shape, dtype
        self._bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        self._spool: IO[bytes] | None = None
        self._unpacked = self._bytes
        if header.compressed:
            room = shutil.disk_usage(tempfile.gettempdir()).free
            if self._bytes > min(MOST_UNPACKED_BYTES, room):
                raise UnsupportedLoopError(
                    f"{path} would need {self._bytes >> 20} MiB unpacked, more than there is room for: "
                    "save it as an uncompressed MetaImage (.mha)."
                )

    def plane(self, index: int, axis: int | None) -> NDArray[Any]:
        """Return plane `index` along `axis` of the shape; all where `axis` is None.

        Raises
        ------
        EOFError
            The packed bytes end before this plane does.
        UnsupportedLoopError
            The packed bytes are damaged: where, they do not say.
        OSError, ValueError
            The file cannot be read.
        """
        header = self._header
        file: Path | IO[bytes] = header.data_file
        offset = header.data_at
        if header.compressed:
            self.unpack()
            assert self._spool is not None
            file, offset = self._spool, 0
            needed = self._bytes // self._shape[0] * (index + 1) if axis == 0 else self._bytes
            if needed > self._unpacked:
                raise EOFError
        return MappedArray(file, self._dtype, offset, self._shape).take(index, axis)

    @property
    def bytes_to_unpack(self) -> int:
        """How many bytes the next plane waits for; 0 where they are not packed, or unpacked already."""
        return self._bytes if self._header.compressed and self._spool is None else 0

    def unpack(self, on_progress: OnProgress = ignore_progress, should_stop: ShouldStop = never_stop) -> None:
        """Unpack what is packed, if that is not done; stopped, it is left as it was.

        Raises
        ------
        UnsupportedLoopError
            The packed bytes are damaged.
        OSError
            The file cannot be read, or the disk is full.
        """
        if self.bytes_to_unpack:
            self._spool = self._unpack(on_progress, should_stop)

    def close(self) -> None:
        """Let go of the temporary file; the next plane unpacks it again."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _unpack(self, on_progress: OnProgress, should_stop: ShouldStop) -> IO[bytes] | None:
        """Unpack all of it, for only at its end does the sum tell whether what came before is right; None: stopped."""
        spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the loop
        left, skip, surplus = self._bytes, self._header.unpacked_at, 0
        try:
            try:
                for piece in inflated(self._header.data_file, self._header.data_at, _ANY_WINDOW):
                    kept = piece[skip : skip + left]
                    spool.write(kept)
                    surplus += max(len(piece) - skip - len(kept), 0)
                    left, skip = left - len(kept), max(skip - len(piece), 0)
                    on_progress(self._bytes - left, self._bytes, f"Unpacking {self._path.name}")
                    if should_stop():
                        spool.close()
                        return None
                    if surplus > _NO_MORE:
                        raise damaged(self._path)
            except TruncatedLoopError:
                # What came is kept: the frames in it are whole.
                pass
            spool.flush()
            self._unpacked = self._bytes - left
            spool.truncate(self._bytes)
        except BaseException:
            spool.close()
            raise
        return spool
