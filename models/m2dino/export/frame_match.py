"""Which frame of a loop an imported image is.

1. Images that say so, as our own exports do by `loop_id` and `frame`: of this loop, or of another and then passed over.
2. The only image of a loop of one frame.
3. Where the loop is a folder of images: the frame of the same file name, without regard to capitals and then to the
   suffix where only one file fits. Never a number, for files are seldom numbered as frames are.
4. Otherwise the number at the end of the name without its suffix (`clip_000012.png`: 12), counted from `first_frame`.

Two images that are the same frame, or one that is none, are an error: nothing is guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from m2dino.cine.images import ImageLoop
from m2dino.cine.loop import CineLoop
from m2dino.errors import DatasetError

_NUMBER = re.compile(r"(\d+)$")


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


# What of two names has to be the same, the strictest first.
_ALIKE: tuple[Callable[[str], str], ...] = (str, str.casefold, _stem)


class FrameMatcher:
    """Finds the frames of a loop, one image after another.

    Parameters
    ----------
    loop : CineLoop
    source : Path
        The file that names the images; for messages.
    first_frame : int
        The number that the loop's first frame has in file names: 0, or 1 for programs that count from 1.
    images : int
        How many images the file names.
    """

    def __init__(self, loop: CineLoop, source: Path, first_frame: int, images: int) -> None:
        self._loop, self._source, self._first, self._images = loop, source, first_frame, images
        self._names: list[dict[str, int]] = []
        self._of_frame: dict[int, str] = {}
        if isinstance(loop, ImageLoop) and len(loop.file_names) == len(loop):
            self._names = [_unique([part(file) for file in loop.file_names]) for part in _ALIKE]

    def frame_of(self, name: str, loop_id: object = None, frame: object = None) -> int | None:
        """Return the frame of an image, or None where it is of another loop.

        Parameters
        ----------
        name : str
            File name, with or without folders.
        loop_id, frame : object
            What the file says of the image besides; None where it says nothing.

        Raises
        ------
        DatasetError
            The image is no frame of the loop, or another one was the same frame.
        """
        if loop_id:
            if loop_id != self._loop.identity:
                return None
            found = _whole(frame)
        else:
            found = self._by_name(name)
        if found is None or not 0 <= found < len(self._loop):
            last = len(self._loop) - 1
            hint = " Where its numbers begin at 1, say so with --first-frame 1." if found == last + 1 else ""
            should = "be that of a frame's file" if self._names else "end with the frame's number"
            raise DatasetError(
                f"{self._source}: the image {name!r} is no frame of this loop, which has the frames 0 to {last}: "
                f"its name should {should}.{hint}"
            )
        if found in self._of_frame:
            raise DatasetError(
                f"{self._source}: the images {self._of_frame[found]!r} and {name!r} would both be frame {found}; "
                "keep only the images of this loop."
            )
        self._of_frame[found] = name
        return found

    def _by_name(self, name: str) -> int | None:
        if len(self._loop) == 1 and self._images == 1:
            return 0
        plain = PurePosixPath(name.replace("\\", "/"))
        if self._names:
            found = (names.get(part(plain.name)) for part, names in zip(_ALIKE, self._names, strict=True))
            return next((frame for frame in found if frame is not None), None)
        number = _NUMBER.search(plain.stem)
        return int(number[1]) - self._first if number else None


def _unique(names: Sequence[str]) -> dict[str, int]:
    """Return the position of each name that is there once."""
    times = Counter(names)
    return {name: index for index, name in enumerate(names) if times[name] == 1}


def _whole(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
