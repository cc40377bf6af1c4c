"""Bytes of one file, read where asked: opened when needed, never mapped, and never another file's by mistake."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import BinaryIO


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

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        with self._lock:
            if self._closer is not None:
                self._closer()
            self._file = self._closer = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            check_unchanged(self._path, self._stamp)
            self._file = self._path.open("rb")
            self._closer = weakref.finalize(self, self._file.close)
        return self._file
