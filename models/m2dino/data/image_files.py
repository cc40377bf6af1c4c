"""Still pictures and masks on disk, read with Pillow; a damaged file is a typed error that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from m2dino.cine.loop import Frame
from m2dino.data.rows import Row
from m2dino.errors import DatasetError, MissingFileError
from m2dino.values import Mask

_ORIENTATION = 0x0112
# What Pillow raises for a damaged file, depending on the format and on where the damage is.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def load_image(path: Path) -> Frame:
    """Return a still picture.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB. Grey and palette pictures become RGB, transparency is dropped, 16-bit grey keeps its upper 8 bits, and a
        JPEG is turned upright.

    Raises
    ------
    MissingFileError, DatasetError
        There is no such file, or it is damaged or no picture.
    """
    array = _pixels(path, "image")
    return np.ascontiguousarray(np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array[..., :3])


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the header alone.

    Raises
    ------
    MissingFileError, DatasetError
        As `load_image`, except that damage behind the header goes unseen.
    """
    try:
        with Image.open(path) as picture:
            turned = picture.format == "JPEG" and picture.getexif().get(_ORIENTATION, 1) >= 5
            return (picture.width, picture.height) if turned else (picture.height, picture.width)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: the image does not exist.") from error
    except _DAMAGE as error:
        raise DatasetError(f"{path}: the image is damaged or not a picture; replace it.") from error


def load_mask(row: Row) -> Mask:
    """Return the class-index mask of a segmentation row.

    A mask of two classes that holds only 0 and 255 is read as 0 and 1, since many programs write it so.

    Raises
    ------
    MissingFileError, DatasetError
        The row has no mask, or the file is missing, damaged, coloured, or holds a class that the task does not have.
    """
    if row.mask is None:
        raise MissingFileError(f"{row.csv}, line {row.line}: this row has no mask.")
    labels = mask_pixels(row.mask)
    highest = int(labels.max(initial=0))
    if highest == 255 and row.num_classes == 2 and np.isin(labels, (0, 255)).all():
        return Mask(labels // 255)
    if highest >= row.num_classes:
        raise DatasetError(
            f"{row.mask}: the mask holds the value {highest}, but the task {row.task_id} has the classes 0 to "
            f"{row.num_classes - 1} ({row.csv.name}, line {row.line}); pixel values must be class indices."
        )
    return Mask(labels)


def mask_pixels(path: Path) -> NDArray[np.uint8]:
    """Return the pixel values of a mask file, (H, W) uint8, unchecked against any task; a palette's are its indices.

    Raises
    ------
    MissingFileError, DatasetError
        The file is missing, damaged, or coloured.
    """
    array = _pixels(path, "mask", indices=True)
    if array.ndim == 3:
        grey = array[..., 0]
        if (array[..., :3] != grey[..., None]).any():
            raise DatasetError(f"{path}: the mask is coloured; its pixel values must be class indices in grey.")
        array = grey
    return np.ascontiguousarray(array)


def _pixels(path: Path, what: str, *, indices: bool = False) -> NDArray[np.uint8]:
    """Return (H, W) or (H, W, 3) uint8."""
    try:
        with Image.open(path) as picture:
            picture.load()
            if picture.mode[0] in "IF" and indices:
                return _small(np.asarray(picture))
            if picture.mode[0] == "I":
                deep = np.asarray(picture).astype(np.int64)
                return (deep >> 8 if deep.max(initial=0) > 255 else deep).clip(0, 255).astype(np.uint8)
            if indices and picture.mode in ("1", "P"):
                return np.asarray(picture).astype(np.uint8)
            # A photograph of a screen may be stored lying down; whoever labelled it saw it upright.
            upright = ImageOps.exif_transpose(picture) if picture.format == "JPEG" else picture
            return np.asarray(upright.convert("L" if picture.mode in ("1", "L") else "RGB"))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: the {what} does not exist.") from error
    except _DAMAGE as error:
        raise DatasetError(f"{path}: the {what} is damaged or not a picture; replace it.") from error


def _small(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return class indices that a program wrote with more than 8 bits."""
    small = deep.astype(np.uint8)
    if not np.array_equal(small, deep):
        raise ValueError("not class indices")
    return small
