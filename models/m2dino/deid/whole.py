"""Copies that are whole under their name, or not there at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from m2dino.data.durable import PART, sync_folder
from m2dino.errors import UsageError


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target` to write to; it takes the name of `target` once all is on the disk.

    Raises
    ------
    UsageError
        The name is taken, or the disk refuses.
    """
    refuse_existing(target)
    part = target.with_name(f".{uuid.uuid4().hex[:12]}{PART}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        refuse_existing(target)
        os.replace(part, target)
        sync_folder(target.parent)
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror}); choose another place.") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside `target` to fill; it takes the name of `target` once all is on the disk.

    Raises
    ------
    UsageError
        The name is taken, or the disk refuses.
    """
    refuse_existing(target)
    part = target.with_name(f".{uuid.uuid4().hex[:12]}{PART}")
    try:
        part.mkdir(parents=True)
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
        os.rename(part, target)
        sync_folder(target.parent)
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror}); choose another place.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_existing(target: Path) -> None:
    """Raise `UsageError` where something already has the name: a copy never overwrites."""
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already and is not overwritten; choose another name.")
