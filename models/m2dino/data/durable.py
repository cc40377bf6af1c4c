"""Files that are whole or absent, whatever instant the machine stops at: temporary name, fsync, replace, fsync."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PART = ".part"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is found whole under its name, or not at all, after any crash.

    Raises
    ------
    OSError
        The disk refuses; a file that was there before is untouched.
    """
    write_streamed(path, lambda stream: stream.write(data))


def write_streamed(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Do as `write_whole` with what `write` puts into a stream, for files that need not fit into memory.

    Raises
    ------
    OSError
        The disk refuses; a file that was there before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part_of(path)
    try:
        with part.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    sync_folder(path.parent)


def append_synced(path: Path, data: bytes) -> None:
    """Add to the end of a file and wait for the disk; only a crash can leave a part of `data` at its end.

    Raises
    ------
    OSError
        The disk refuses; the file is as it was.
    """
    with path.open("r+b", buffering=0) as stream:
        before = stream.seek(0, os.SEEK_END)
        try:
            written = stream.write(data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(stream.fileno())
        except OSError:
            stream.truncate(before)
            raise


def place_link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link where the file system has them, else a copy.

    Raises
    ------
    OSError
        The disk refuses; a file that was there before is untouched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    part = _part_of(target)
    try:
        os.link(source, part)
    except OSError:
        write_whole(target, source.read_bytes())
        return
    try:
        os.replace(part, target)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def place_copy(source: Path, target: Path) -> None:
    """Make `target` a file of its own that holds what `source` holds: what is done to one leaves the other alone.

    Raises
    ------
    OSError
        The disk refuses; a file that was there before is untouched.
    """
    data = source.read_bytes()
    if target.is_file() and not target.samefile(source) and target.read_bytes() == data:
        return
    write_whole(target, data)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Windows has no such call, and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear_parts(folder: Path, older_than_s: float = 3600.0) -> None:
    """Remove temporary files that a killed program left behind; fresh ones may belong to a live one."""
    for part in folder.glob(f".*{PART}"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > older_than_s:
                part.unlink()


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PART}")
