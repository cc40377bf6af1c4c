"""From a file or a folder to de-identified copies of its loops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from m2dino.cine import CineLoop, loop_paths, open_found
from m2dino.deid.masking import check_box
from m2dino.deid.options import DeidOptions
from m2dino.errors import M2DinoError, NoPixelDataError, UnsupportedLoopError, UsageError


@dataclass(frozen=True)
class Deidentified:
    """What became of one loop.

    Attributes
    ----------
    source : Path
        May hold a patient's name: for the person who asked only, never written anywhere.
    target : Path or None
        The copy; its name in a folder is made from the loop's identity. None where there is none.
    masked : bool
        Whether pixels were made black.
    warnings : tuple of str
        What a person should look at before passing the copy on.
    error : M2DinoError or None
        Why there is no copy.
    """

    source: Path
    target: Path | None
    masked: bool = False
    warnings: tuple[str, ...] = ()
    error: M2DinoError | None = None


def deidentify(source: Path, target: Path, options: DeidOptions | None = None) -> Iterator[Deidentified]:
    """Copy a loop, or all loops of a folder and its sub-folders, without what identifies a patient.

    Parameters
    ----------
    source : Path
        A DICOM file, a video, an image, a volume or an array, or a folder. Of volumes and arrays, whose free fields
        nobody can vouch for, the copy is their frames as PNG.
    target : Path
        The name of the copy; a folder where `source` is one, or where a folder of that name is there. Nothing is ever
        overwritten, and no copy is there before it is whole.
    options : DeidOptions, optional

    Yields
    ------
    Deidentified
        One for each loop, in order; a loop that fails does not keep the others from being copied. What is no loop
        (reports, directories, text) is not copied.

    Raises
    ------
    LoopError, UsageError
        There is nothing to copy, or `source` and `target` are the same.
    """
    options = options or DeidOptions()
    if source.is_dir():
        into = target.resolve()
        if into == source.resolve():
            raise UsageError(f"{target} is the folder to read from; choose another for the copies.")
        paths = list(_all_loops(source, into))
        if not paths:
            raise UnsupportedLoopError(f"{source} and its sub-folders hold no loop that could be copied.")
    else:
        paths = loop_paths(source)
    in_folder = source.is_dir() or target.is_dir() or len(paths) > 1
    for path in paths:
        try:
            yield _copy(path, target, in_folder, options)
        except NoPixelDataError as error:
            if len(paths) == 1:
                yield Deidentified(path, None, error=error)
        except M2DinoError as error:
            yield Deidentified(path, None, error=error)


def _all_loops(source: Path, into: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    for place, folders, _ in os.walk(source):
        folders[:] = sorted(name for name in folders if (Path(place) / name).resolve() != into)
        try:
            found = loop_paths(place)
        except M2DinoError:
            continue
        for path in found:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _copy(path: Path, target: Path, in_folder: bool, options: DeidOptions) -> Deidentified:
    loop = open_found(path, options.frame_axis)
    try:
        return copy_loop(loop, _free_name(target, loop, copy_suffix(loop, options)) if in_folder else target, options)
    finally:
        loop.close()


def copy_loop(loop: CineLoop, target: Path, options: DeidOptions | None = None) -> Deidentified:
    """Copy one open loop without what identifies a patient; it stays open.

    Parameters
    ----------
    loop : CineLoop
    target : Path
        Name of the copy, with the suffix that `copy_suffix` tells; nothing is overwritten.
    options : DeidOptions, optional

    Raises
    ------
    LoopError, UsageError
        As `deidentify`; no copy is there then.
    """
    options = options or DeidOptions()
    if options.box:
        check_box(loop, options.box)
    wanted = copy_suffix(loop, options)
    if target.suffix.lower() != wanted:
        raise UsageError(f"{target} has to end in {wanted or 'no suffix, for it becomes a folder'}.")
    masked = options.box is not None
    if loop.reader == "dicom":
        from m2dino.deid.dicom_copy import copy_dicom

        masked, warnings = copy_dicom(loop, target, options)
    elif loop.reader == "video":
        from m2dino.deid.video_copy import copy_video

        warnings = copy_video(loop, target, options.box)
    else:
        from m2dino.deid.image_copy import copy_images

        warnings = copy_images(loop, target, options.box)
    return Deidentified(loop.path, target, masked, tuple(warnings))


def copy_name(loop: CineLoop) -> str:
    """Return a file name for the copy of a loop that tells nothing of a patient, without its suffix."""
    return f"{loop.reader}-{loop.identity[:16]}"


def copy_suffix(loop: CineLoop, options: DeidOptions | None = None) -> str:
    """Return the suffix of a loop's copy, "" for a folder."""
    if loop.reader == "dicom":
        return ".dcm"
    if loop.reader == "video":
        return ".mp4" if options and options.box else loop.path.suffix.lower()
    return ".png" if len(loop) == 1 else ""


def _free_name(folder: Path, loop: CineLoop, suffix: str) -> Path:
    stem = copy_name(loop)
    name, number = folder / f"{stem}{suffix}", 1
    while name.exists():
        number += 1
        name = folder / f"{stem}-{number}{suffix}"
    return name
