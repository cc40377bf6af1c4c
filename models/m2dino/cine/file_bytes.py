"""Bytes of one file, read where asked: opened when needed, never mapped, and never another file's by mistake."""

from __future__ import annotations

import io
import threading
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, cast


class ChangedFileError(OSError):
    """The file is not the one that was opened first."""


def stamp_of(path: Path) -> tuple[int, int]:
    """Return what tells one state of a file from another: its size and modification time."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def check_unchanged(path: Path, stamp: tuple[int, int]) -> None:
    """Raise `ChangedFileError` unless the file is as it was when `stamp` was taken."""
    if stamp_of(path) != stamp:
        raise ChangedFileError(0, "it has changed since it was opened")


class FileBytes:
    """Random access to the bytes of a file; threads may share it.

    The file is read, not mapped: one that is cut short meanwhile raises instead of crashing the program. A file that
    was replaced or rewritten since it was first opened is refused, so that no label lands on other pixels.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._file: BinaryIO | None = None
        self._closer: weakref.finalize[[], FileBytes] | None = None
        self._stamp = stamp_of(path)
        self.size = self._stamp[0]

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only at the end of the file.

        Raises
        ------
        OSError
            The file is gone or unreadable; `ChangedFileError` where it is not the same file any more.
        """
        with self._lock:
            file = self._opened()
            file.seek(offset)
            return file.read(min(length, max(self.size - offset, 0)))

    def stream(self) -> BinaryIO:
        """Return the same bytes as a file open for reading, with a position of its own; the caller closes it."""
        return self.pieces([(0, self.size)])

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        with self._lock:
            if self._closer is not None:
                self._closer()
            self._file = self._closer = None

    def pieces(self, runs: Sequence[tuple[int, int]]) -> BinaryIO:
        """Return some runs of bytes, (offset, length) each, as one file open for reading; the caller closes it."""
        return cast(BinaryIO, io.BufferedReader(_Window(self, runs)))

    def _opened(self) -> BinaryIO:
        if self._file is None:
            check_unchanged(self._path, self._stamp)
            self._file = self._open()
            self._closer = weakref.finalize(self, self._file.close)
        return self._file

    def _open(self) -> BinaryIO:
        return self._path.open("rb")


class _Window(io.RawIOBase):
    """Runs of bytes of a file, one after another, as if they were a file of their own."""

    def __init__(self, source: FileBytes, runs: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self._source = source
        self._runs = list(runs)
        self._starts = list(accumulate((length for _, length in runs), initial=0))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        run = bisect_right(self._starts, self._position) - 1
        if run >= len(self._runs):
            return 0
        skipped = self._position - self._starts[run]
        offset, length = self._runs[run]
        data = self._source.read(offset + skipped, min(len(buffer), length - skipped))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
