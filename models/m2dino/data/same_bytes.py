"""Which files are the same picture: files of equal content, whatever their names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from m2dino.errors import MissingFileError


def same_bytes(images: Iterable[Path]) -> dict[Path, str]:
    """Return a name for every image, the same for files of the same content; only files of equal size are read.

    Raises
    ------
    MissingFileError
        An image has gone, or cannot be read.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    names: dict[Path, str] = {}
    for image in dict.fromkeys(images):
        try:
            by_size[image.stat().st_size].append(image)
        except OSError as error:
            raise MissingFileError(f"{image}: the image does not exist any more.") from error
    for same in by_size.values():
        for image in same:
            names[image] = str(image)
            if len(same) > 1:
                try:
                    names[image] = hashlib.sha256(image.read_bytes()).hexdigest()
                except OSError as error:
                    raise MissingFileError(f"{image}: the image cannot be read any more.") from error
    return names
