"""Folders of still images, single stills, and TIFF files of several pages."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m2dino.cine.greys import display_range, grey_table, grey_to_rgb, spread
from m2dino.cine.identity import EncodedFrame, content_signature
from m2dino.cine.limits import check_frame_size
from m2dino.cine.loop import CineLoop, Frame
from m2dino.cine.natural import natural_key
from m2dino.cine.sniffing import IMAGE_SUFFIXES, TIFF_SUFFIXES
from m2dino.errors import FrameDecodeError, LoopError, UnsupportedLoopError

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow lets through on damaged files: its own checks, and those of the codecs beneath.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class ImageLoop(CineLoop):
    """A loop whose frames are image files, in natural order of their names, or the pages of one TIFF.

    Parameters
    ----------
    path : Path
        The folder or the file.
    files : list of Path
        Image files in frame order.
    pages : int
        Frames in each file; more than 1 only for a single TIFF.
    """

    reader = "images"

    def __init__(self, path: Path, files: list[Path], pages: int = 1) -> None:
        super().__init__()
        self.path = path
        self._files = files
        self._pages = pages
        self._range: tuple[float, float] | None = None
        self.height, self.width, self.codec = _look(files[0])
        for file in files[1:]:
            height, width, _ = _look(file)
            if (height, width) != (self.height, self.width):
                raise UnsupportedLoopError(
                    f"{file} is {width} × {height} pixels but {files[0].name} is {self.width} × {self.height}: "
                    "all images of a loop must have one size; move the odd file out of the folder."
                )
        try:
            encoded = (EncodedFrame(file.stat().st_size, _reader_of(file)) for file in files)
            self.identity = content_signature((len(self), self.height, self.width), encoded)
        except OSError as error:
            raise UnsupportedLoopError(f"{path} cannot be read ({error.strerror}).") from None
        self.name = f"images {self.identity[:8]}"
        self.calibration_reason = "still images give no pixel size"

    @classmethod
    def of_folder(cls, folder: Path) -> ImageLoop:
        """Open the images of a folder as one loop; a TIFF of several pages is a loop of its own, and left out.

        Raises
        ------
        UnsupportedLoopError
            No image is left, or they differ in size.
        """
        files = [
            file
            for file in folder.iterdir()
            if file.suffix.lower() in IMAGE_SUFFIXES
            and file.is_file()
            and not file.name.startswith(".")
            and not has_pages(file)
        ]
        if not files:
            raise UnsupportedLoopError(
                f"{folder} holds no images that make up a loop. A TIFF of several pages is a loop of its own: "
                "open it by its name."
            )
        return cls(folder, sorted(files, key=natural_key))

    @classmethod
    def of_file(cls, file: Path) -> ImageLoop:
        """Open one still as a loop of one frame, or a TIFF of several pages as a loop of them."""
        with _opened(file) as image:
            pages = int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1
        return cls(file, [file], pages)

    def __len__(self) -> int:
        return len(self._files) * self._pages

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of the files in frame order; they may hold a patient's name: for finding a frame by its name only."""
        return tuple(file.name for file in self._files)

    def _decode(self, index: int) -> Frame:
        file = self._files[index // self._pages]
        what = f"Frame {index} of {self.path}" if self._pages > 1 else str(file)
        try:
            pixels = self._pixels(index)
        except LoopError as error:
            raise FrameDecodeError(str(error)) from None
        if pixels.shape[:2] != (self.height, self.width):
            raise FrameDecodeError(f"{what} is not {self.width} × {self.height} pixels like the rest of the loop.")
        if pixels.ndim == 3:
            return pixels
        if self._range is None:
            some = (self._pixels(k) for k in spread(len(self)))
            full = (0.0, 65535.0) if pixels.dtype.itemsize == 2 else (0.0, 255.0)
            self._range = display_range((p for p in some if p.ndim == 2), full)
        return grey_to_rgb(grey_table(pixels, *self._range))

    def _pixels(self, index: int) -> NDArray[Any]:
        """Return RGB (H, W, 3) uint8, or the stored values (H, W) of a deep grey image."""
        with _opened(self._files[index // self._pages]) as image:
            if self._pages > 1:
                image.seek(index)
            orientation = _orientation(image)
            if image.mode == "F":
                raise UnsupportedLoopError(f"{self.path} holds fractional numbers, not grey levels; save it as PNG.")
            deep = image.mode.startswith("I")
            turned = image if deep else image.convert("RGB")
            if orientation in _TURNS:
                turned = turned.transpose(_TURNS[orientation])
            pixels = np.asarray(turned)
        # 16-bit PNG comes as 32-bit integers from some versions of Pillow.
        return pixels.astype(np.uint16) if deep and pixels.dtype != np.uint16 and pixels.max() < 65536 else pixels


def has_pages(file: Path) -> bool:
    """Whether a file is a TIFF of several pages; one that cannot be read so far is none.

    Only the second page is looked for: to count them, Pillow would walk through all of the file.
    """
    if file.suffix.lower() not in TIFF_SUFFIXES:
        return False
    try:
        with _opened(file) as image:
            if image.format != "TIFF":
                return False
            image.seek(1)
    except LoopError:
        return False
    return True


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open an image without decoding it; anything that goes wrong inside becomes one plain sentence."""
    try:
        with Image.open(file, formats=_FORMATS) as image:
            check_frame_size(file, image.height, image.width)
            yield image
    except FileNotFoundError:
        raise UnsupportedLoopError(f"{file} does not exist any more.") from None
    except PermissionError:
        raise UnsupportedLoopError(f"{file} may not be read; check its permissions.") from None
    except _DAMAGE:
        raise UnsupportedLoopError(f"{file} is not an image or is damaged; copy it again from its source.") from None


def _look(file: Path) -> tuple[int, int, str]:
    """Return (height, width, format) as it will be shown, without decoding."""
    with _opened(file) as image:
        size = (image.height, image.width)
        height, width = size[::-1] if _orientation(image) >= 5 else size
        return height, width, image.format or "image"


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a photograph, 1 where there is none.

    Only JPEG is asked: Pillow turns TIFF by itself, and asking a PNG decodes all of it.
    """
    return int(image.getexif().get(_ORIENTATION, 1)) if image.format == "JPEG" else 1


def _reader_of(file: Path) -> Any:
    def read(offset: int, length: int) -> bytes:
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)

    return read
