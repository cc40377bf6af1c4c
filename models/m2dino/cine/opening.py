"""From a path to its loops: `open_loop`, `open_loops`, and `loop_paths` with `open_found`."""

from __future__ import annotations

import os
from pathlib import Path

from m2dino.cine.frame_axis import FrameAxis
from m2dino.cine.loop import CineLoop
from m2dino.cine.natural import natural_key
from m2dino.cine.sniffing import IMAGE_SUFFIXES, TIFF_SUFFIXES, Kind, kind_of_file
from m2dino.errors import NoPixelDataError, UnsupportedLoopError, UsageError

_READS = (
    "DICOM, video (MP4, AVI, MOV, MKV, WMV, GIF), still images (PNG, JPEG, BMP, TIFF), volumes (NIfTI, MetaImage, "
    "NRRD) and NumPy arrays, or a folder of these"
)


def open_loop(path: str | os.PathLike[str], frame_axis: FrameAxis | None = None) -> CineLoop:
    """Open the one loop of a file or folder; nothing but its header, index and signature is read.

    A scale that a person has given this loop before is used again (see `manual_calibration`).

    Parameters
    ----------
    path : path-like
        A DICOM, video, image, volume or NumPy file, a DICOMDIR with a single loop, a folder of equally sized images,
        or a folder with a single loop in it.
    frame_axis : str or int, optional
        The axis that counts the frames: "x", "y", "z" or "t" of a volume, the number of an axis of a NumPy array. Only
        needed where the file does not say it; other kinds of file have no use for it.

    Returns
    -------
    CineLoop

    Raises
    ------
    UsageError
        The folder holds several loops: the message says to choose one of them.
    AmbiguousLoopError
        A volume or an array does not say which axis counts its frames: `choices` are what `frame_axis` may be.
    UnsupportedLoopError, NoPixelDataError, UnsupportedTransferSyntaxError, TruncatedLoopError
        The file cannot be read, and why.
    """
    paths = loop_paths(path)
    if len(paths) > 1:
        some = ", ".join(p.name for p in paths[:3]) + (", …" if len(paths) > 3 else "")
        raise UsageError(f"{path} holds {len(paths)} loops ({some}): choose one of them.")
    return open_found(paths[0], frame_axis)


def open_loops(path: str | os.PathLike[str], frame_axis: FrameAxis | None = None) -> list[CineLoop]:
    """Open every loop of a file or folder, in natural order of their names.

    DICOM files without pixels (directories, reports) that lie in a folder beside loops are passed over; any other
    file that cannot be read raises. To go on after such a file, `open_found` each of `loop_paths(path)` by itself.

    Raises
    ------
    LoopError, AmbiguousLoopError
        As `open_loop`.
    """
    paths = loop_paths(path)
    if len(paths) == 1:
        return [open_found(paths[0], frame_axis)]
    loops = []
    for each in paths:
        try:
            loops.append(open_found(each, frame_axis))
        except NoPixelDataError:
            continue
    if not loops:
        raise NoPixelDataError(f"{path} holds only DICOM files without images; choose another folder.")
    return loops


def open_found(path: Path, frame_axis: FrameAxis | None = None) -> CineLoop:
    """Open a loop that `loop_paths` found, without looking for others: of a folder, the loop of its single images.

    Parameters
    ----------
    path : Path
        One of those that `loop_paths` returned.
    frame_axis : str or int, optional
        As for `open_loop`.

    Raises
    ------
    LoopError, AmbiguousLoopError
        As `open_loop`.
    """
    from m2dino.cine.manual_calibration import recall

    loop = _read(path, frame_axis)
    recall(loop)
    return loop


def loop_paths(path: str | os.PathLike[str]) -> list[Path]:
    """Return the path of every loop that `path` holds: itself, or the loops inside a folder.

    A folder of still images is one loop, whose path is the folder's; a TIFF of several pages among them is a loop of
    its own. Sub-folders are not searched, but a DICOMDIR leads to the images that it names. Volumes and arrays that lie
    beside other loops are labels more often than not, and are passed over: they open by their own names.

    Raises
    ------
    UnsupportedLoopError
        There is none, or the path cannot be read.
    NoPixelDataError
        A DICOMDIR that leads to no image.
    """
    path = Path(path)
    if not path.is_dir():
        if path.exists() and not path.is_file():
            # Reading a pipe or a device would wait for ever.
            raise UnsupportedLoopError(f"{path} is neither a file nor a folder: {_READS} are read.")
        kind = kind_of_file(path)
        if kind is None:
            raise UnsupportedLoopError(f"{path} is not a loop that can be read: {_READS} are.")
        return _contents(path) if kind == "dicom" and is_dicomdir(path) else [path]
    try:
        files = sorted((f for f in path.iterdir() if f.is_file() and not f.name.startswith(".")), key=natural_key)
    except OSError as error:
        raise UnsupportedLoopError(f"The folder {path} cannot be read ({error.strerror}).") from None
    found: list[Path] = []
    stacks: list[Path] = []
    has_images = False
    for file in files:
        suffix = file.suffix.lower()
        if suffix in TIFF_SUFFIXES and _has_pages(file):
            found.append(file)
            continue
        if suffix in IMAGE_SUFFIXES:
            has_images = True
            continue
        kind = _kind_in_folder(file)
        if kind in ("volume", "array"):
            stacks.append(file)
        elif kind in ("dicom", "video"):
            found += _contents_or_nothing(file) if is_dicomdir(file) else [file]
    found = list(dict.fromkeys(found))
    if has_images:
        found.insert(0, path)
    if not found and not stacks:
        raise UnsupportedLoopError(f"The folder {path} holds no loop: {_READS} are read, sub-folders are not searched.")
    return found or stacks


def _kind_in_folder(file: Path) -> Kind | None:
    """Return the kind of a file in a folder; what cannot be read does not spoil the rest of the folder."""
    try:
        return kind_of_file(file)
    except UnsupportedLoopError:
        return None


def _has_pages(file: Path) -> bool:
    from m2dino.cine.images import has_pages

    return has_pages(file)


def is_dicomdir(path: Path) -> bool:
    """Whether a file has the name that the standard demands of a table of contents."""
    return path.name.upper() in ("DICOMDIR", "DICOMDIR.DCM")


def _contents(path: Path) -> list[Path]:
    from m2dino.cine.dicomdir import referenced_images

    return referenced_images(path)


def _contents_or_nothing(path: Path) -> list[Path]:
    """Return what a DICOMDIR leads to; one that leads nowhere does not spoil the rest of its folder."""
    try:
        return _contents(path)
    except (NoPixelDataError, UnsupportedLoopError):
        return []


def _read(path: Path, frame_axis: FrameAxis | None) -> CineLoop:
    if path.is_dir():
        from m2dino.cine.images import ImageLoop

        return ImageLoop.of_folder(path)
    match kind_of_file(path):
        case "dicom":
            from m2dino.cine.dicom_opening import open_dicom

            return open_dicom(path)
        case "video":
            from m2dino.cine.video import VideoLoop

            return VideoLoop(path)
        case "volume":
            from m2dino.cine.volumes import VolumeLoop

            return VolumeLoop(path, frame_axis)
        case "array":
            from m2dino.cine.arrays import ArrayLoop

            return ArrayLoop(path, frame_axis)
        case "images":
            from m2dino.cine.images import ImageLoop

            return ImageLoop.of_file(path)
        case None:
            raise UnsupportedLoopError(f"{path} is not a loop that can be read: {_READS} are.")
