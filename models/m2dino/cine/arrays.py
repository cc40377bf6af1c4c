"""NumPy files (.npy, .npz): never unpickled, and mapped, so that only the frames looked at are read."""

from __future__ import annotations

import io
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from m2dino.cine.file_bytes import FileBytes, check_unchanged, stamp_of
from m2dino.cine.frame_axis import FrameAxis, choose_frame_axis, way_of_reading
from m2dino.cine.inflated import MAX_INFLATED_BYTES
from m2dino.cine.limits import check_frame_size
from m2dino.cine.mapped import MappedArray
from m2dino.cine.stacks import StackLoop
from m2dino.errors import FrameDecodeError, TruncatedLoopError, UnsupportedLoopError

_HOW_TO_SAVE = "save it as (frames, height, width) or (frames, height, width, 3)"
# What NumPy, and the parser of Python literals that reads its headers, let through.
_DAMAGE = (
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    OSError,
    KeyError,
    RuntimeError,
    MemoryError,
    OverflowError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArrayLoop(StackLoop):
    """A NumPy array as a loop: (H, W), (H, W, 3), (N, H, W) with the frame axis chosen, or (N, H, W, 1 to 4).

    Of four axes the last is the colour and the first counts the frames, as every program writes them. Of three axes
    none says that it counts frames, so it has to be chosen.

    Parameters
    ----------
    path : Path
        An .npy file, or an .npz archive with one array that could be a loop.
    frame_axis : str or int, optional
        Number of the axis that counts the frames.

    Raises
    ------
    AmbiguousLoopError
        The frame axis has to be chosen.
    UnsupportedLoopError, TruncatedLoopError
        The file is not an array of pictures, or is damaged.
    """

    reader = "array"

    def __init__(self, path: Path, frame_axis: FrameAxis | None = None) -> None:
        super().__init__(path)
        self._spool: IO[bytes] | None = None
        self._array: MappedArray | None = None
        try:
            self._stamp = stamp_of(path)
            array, size, read = self._load()
        except _DAMAGE:
            raise UnsupportedLoopError(
                f"{path} is not a NumPy array of numbers, or it is damaged; save it anew with numpy.save."
            ) from None
        if array.dtype.kind not in "buif":
            raise UnsupportedLoopError(f"{path} does not hold numbers that are grey levels; {_HOW_TO_SAVE}.")
        colour = len(array.shape) in (3, 4) and array.shape[-1] in (1, 3, 4)
        axes = {str(k): length for k, length in enumerate(array.shape[: len(array.shape) - colour])}
        if min(array.shape, default=0) < 1:
            raise UnsupportedLoopError(f"{path} is empty; {_HOW_TO_SAVE}.")
        chosen = choose_frame_axis(path, axes, "0" if colour else None, frame_axis)
        self._colour = colour
        self._axis = None if chosen is None else int(chosen)
        self._array = array
        self._count = 1 if self._axis is None else array.shape[self._axis]
        kept = [length for name, length in axes.items() if name != chosen]
        if len(kept) != 2:
            kept = [length for length in kept if length > 1]
        self.height, self.width = kept
        check_frame_size(path, self.height, self.width)
        self.codec = f"NumPy {array.dtype.name}"
        self.calibration_reason = "a NumPy array gives no pixel size"
        self._sign(size, read, way_of_reading(axes, chosen))

    def _slice(self, index: int) -> NDArray[Any]:
        try:
            check_unchanged(self.path, self._stamp)
            if self._array is None:
                self._array = self._load()[0]
            values = self._array.take(index, self._axis)
        except _DAMAGE:
            raise FrameDecodeError(f"Frame {index} of {self.path} cannot be read: the file has changed.") from None
        shape = (self.height, self.width)
        if self._colour and values.shape[-1] > 1:
            return values.reshape(*shape, values.shape[-1])
        return values.reshape(shape)

    def _release(self) -> None:
        self._array = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _load(self) -> tuple[MappedArray, int, Callable[[int, int], bytes]]:
        """Return the array, mapped, with the number of its stored bytes and how to read them."""
        if self.path.suffix.lower() != ".npz":
            with self.path.open("rb") as file:
                array, start = _mapped(self.path, cast(BinaryIO, file), self.path, stamp_of(self.path)[0])
            source = FileBytes(self.path)
            return array, source.size - start, lambda offset, length: source.read(start + offset, length)
        spool = self._spool = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the loop
        _unpack(self.path, spool)
        size = spool.tell()
        spool.seek(0)
        array, start = _mapped(self.path, cast(BinaryIO, spool), spool, size)

        def read(offset: int, length: int) -> bytes:
            spool.seek(start + offset)
            return spool.read(length)

        return array, size - start, read


def _mapped(path: Path, file: BinaryIO, target: Any, size: int) -> tuple[MappedArray, int]:
    """Return the array of an open .npy file, and where its data begin."""
    version = npy_format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = npy_format.read_array_header_1_0(file)
    else:
        shape, fortran, dtype = npy_format.read_array_header_2_0(file)
    start = file.tell()
    wanted = int(np.prod([int(extent) for extent in shape], dtype=object)) * dtype.itemsize
    if dtype.hasobject or dtype.itemsize == 0 or wanted <= 0:
        raise ValueError("not numbers")
    if wanted > size - start:
        raise TruncatedLoopError(
            f"{path} ends before the {shape[0] if shape else 1} frames or rows that it claims: it was cut short; "
            "copy it again from its source."
        )
    return MappedArray(target, dtype, start, shape, "F" if fortran else "C"), start


def _unpack(path: Path, spool: IO[bytes]) -> None:
    """Write the one array of an archive that could be a loop into a nameless temporary file."""
    with zipfile.ZipFile(path) as archive:
        names = []
        for info in archive.infolist():
            with archive.open(info) as member:
                head = io.BytesIO(member.read(256))
            if head.read(6) == b"\x93NUMPY" and _axes_of(head.getvalue()) >= 2:
                names.append(info)
        if len(names) != 1:
            raise UnsupportedLoopError(
                f"{path} holds {len(names)} arrays that could be a loop; save the frames alone with numpy.save."
            )
        total = 0
        with archive.open(names[0]) as member:
            while piece := member.read(2**20):
                total += len(piece)
                if total > MAX_INFLATED_BYTES:
                    raise UnsupportedLoopError(
                        f"{path} would need more than {MAX_INFLATED_BYTES >> 20} MiB unpacked; "
                        "save the frames with numpy.save instead."
                    )
                spool.write(piece)


def _axes_of(head: bytes) -> int:
    """Return the number of axes that the first bytes of an .npy file name."""
    _, _, shape = head.partition(b"'shape': (")
    inside = shape.partition(b")")[0]
    return len([part for part in inside.split(b",") if part.strip()])
