"""Volumes (MetaImage, NRRD, NIfTI) whose slices along one axis are frames.

Pixels that lie one after another are read plane by plane; SimpleITK reads all others.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from m2dino.cine.calibration import Calibration
from m2dino.cine.file_bytes import FileBytes, check_unchanged, stamp_of
from m2dino.cine.frame_axis import FrameAxis, choose_frame_axis, way_of_reading
from m2dino.cine.limits import check_frame_size
from m2dino.cine.stacks import StackLoop
from m2dino.cine.volume_header import VolumeHeader, damaged
from m2dino.cine.volume_metaimage import metaimage_header
from m2dino.cine.volume_nifti import nifti_header
from m2dino.cine.volume_nrrd import nrrd_header
from m2dino.cine.volume_pixels import VolumePixels
from m2dino.errors import FrameDecodeError, TruncatedLoopError, UnsupportedLoopError
from m2dino.progress import OnProgress, ShouldStop

# What SimpleITK has to read, it may read as a whole.
_MOST_WHOLE_BYTES = 3 * 2**27
# No deflated byte holds more.
_MOST_BY_DEFLATE = 1100
_AXES = "xyzt"
_EVEN = 0.1
_PIXEL = re.compile(r"(?:vector of )?(\d+)-bit (unsigned integer|signed integer|float)")
_KINDS = {"unsigned integer": "u", "signed integer": "i", "float": "f"}


class VolumeLoop(StackLoop):
    """A volume of one plane over time, or of planes one after another, as a loop.

    Planes are read where they lie; compressed volumes are unpacked once into a nameless temporary file, so that memory
    does not grow with their length. Volumes of unusual forms (text, colours plane by plane) are held in memory.

    Parameters
    ----------
    path : Path
    frame_axis : str, optional
        The axis, "x" (the fastest in the file), "y", "z" or "t", that counts the frames.

    Raises
    ------
    AmbiguousLoopError
        The header does not say which axis counts the frames.
    UnsupportedLoopError, TruncatedLoopError
        The file is not a volume of pictures, or is damaged.
    """

    reader = "volume"

    def __init__(self, path: Path, frame_axis: FrameAxis | None = None) -> None:
        super().__init__(path)
        self._whole: NDArray[Any] | None = None
        self._pixels: VolumePixels | None = None
        try:
            self._stamp = stamp_of(path)
            self._header = header = _read_header(path)
            self._sizes, self._components, dtype = _form(path, header)
            self._check_claim(dtype)
            axes = dict(zip(_AXES, self._sizes, strict=False))
            slowest_first = dict(reversed(axes.items()))
            self._axis = choose_frame_axis(path, slowest_first, header.time_axis, frame_axis)
            self._count = 1 if self._axis is None else axes[self._axis]
            rows, columns = self._plane(slowest_first)
            self.height, self.width = axes[rows], axes[columns]
            check_frame_size(path, self.height, self.width)
            self.codec = f"{header.form} ({'compressed' if header.compressed else 'uncompressed'})"
            self._calibrate(rows, columns)
            self._time()
            source = FileBytes(header.data_file)
            start = min(max(header.data_at, 0), source.size)
            self._sign(
                source.size - start,
                lambda offset, length: source.read(start + offset, length),
                way_of_reading(slowest_first, self._axis),
            )
        except OSError as error:
            raise UnsupportedLoopError(f"{path} cannot be read ({error.strerror}).") from None

    def _plane(self, slowest_first: dict[str, int]) -> tuple[str, str]:
        """Return the axes of rows and columns."""
        others = [axis for axis in slowest_first if axis != self._axis]
        if len(others) > 2:
            others = [axis for axis in others if slowest_first[axis] > 1]
        if len(others) != 2:
            raise damaged(self.path)
        return others[0], others[1]

    def _check_claim(self, dtype: np.dtype[Any]) -> None:
        """Check what the header claims against the file before any memory is taken."""
        header = self._header
        claimed = int(np.prod(self._sizes, dtype=object)) * self._components * dtype.itemsize
        stored = max(header.data_file.stat().st_size - header.data_at, 0)
        if claimed > stored * (_MOST_BY_DEFLATE if header.compressed else 1):
            raise TruncatedLoopError(
                f"{self.path} claims {claimed} bytes of pixels, more than the file holds: "
                "it was cut short or its header is damaged; copy it again from its source."
            )
        if header.layout is not None:
            colour = (self._components,) if self._components > 1 else ()
            self._pixels = VolumePixels(self.path, header, (*self._sizes[::-1], *colour), dtype)
        elif claimed > _MOST_WHOLE_BYTES:
            raise UnsupportedLoopError(
                f"{self.path} would need {claimed >> 20} MiB at once, for its pixels are stored in an unusual form: "
                "save it as an uncompressed MetaImage (.mha)."
            )

    def _calibrate(self, rows: str, columns: str) -> None:
        spacing = self._header.spacing_mm
        if rows not in spacing or columns not in spacing:
            reason = self._header.reason
            self.calibration_reason = reason if not spacing else "the volume's spacing is not known on both axes"
            return
        try:
            self.calibration = Calibration(spacing[rows], spacing[columns], None, f"{self._header.form} spacing")
            self.calibration_reason = self._header.reason
        except ValueError:
            self.calibration_reason = "the volume's spacing is not a plausible pixel size"

    def _time(self) -> None:
        if self._axis is None or self._axis != self._header.time_axis:
            return
        times, step = self._header.times_s, self._header.step_s
        if times is not None:
            steps = np.diff(times)
            even = np.abs(steps - steps.mean()).max() <= _EVEN * steps.mean()
            self.set_times(float(steps.mean()) if even else None, "timestamps", None if even else times)
        elif step is not None:
            self.set_times(step, "time axis")

    @property
    def bytes_to_unpack(self) -> int:
        """How many bytes the first frame waits for: all of a packed volume, until it is unpacked once."""
        return 0 if self._pixels is None else self._pixels.bytes_to_unpack

    def _prepare(self, on_progress: OnProgress, should_stop: ShouldStop) -> None:
        assert self._pixels is not None
        try:
            self._pixels.unpack(on_progress, should_stop)
        except OSError as error:
            raise UnsupportedLoopError(f"{self.path} cannot be unpacked ({error.strerror}).") from None

    def _slice(self, index: int) -> NDArray[Any]:
        axis = None if self._axis is None else len(self._sizes) - 1 - _AXES.index(self._axis)
        try:
            check_unchanged(self.path, self._stamp)
            if self._pixels is not None:
                values = self._pixels.plane(index, axis)
            else:
                if self._whole is None:
                    self._whole = sitk.GetArrayFromImage(sitk.ReadImage(str(self.path)))
                values = self._whole if axis is None else np.take(self._whole, index, axis=axis)
        except (OSError, RuntimeError, MemoryError, ValueError, EOFError, UnsupportedLoopError):
            raise FrameDecodeError(
                f"Frame {index} of {self.path} is damaged or has changed; copy the file again from its source."
            ) from None
        shape = (self.height, self.width)
        values = values.reshape(shape if self._components == 1 else (*shape, self._components))
        return self._true(values)

    def _true(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return stored values as numbers of this machine, rescaled where the header says so."""
        layout = self._header.layout
        if layout is not None and layout.rescale is not None:
            return values * np.float64(layout.rescale[0]) + layout.rescale[1]
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def _release(self) -> None:
        self._whole = None
        if self._pixels is not None:
            self._pixels.close()


def _form(path: Path, header: VolumeHeader) -> tuple[tuple[int, ...], int, np.dtype[Any]]:
    """Return the length of every axis in the file's order, the samples of a pixel and the kind of a sample."""
    layout = header.layout
    if layout is not None and layout.sizes:
        sizes, components, kind = layout.sizes, layout.components, layout.kind
    else:
        reader = _information(path)
        sizes = tuple(int(size) for size in reader.GetSize())
        components = int(reader.GetNumberOfComponents())
        pixel = _PIXEL.fullmatch(sitk.GetPixelIDValueAsString(reader.GetPixelID()))
        kind = layout.kind if layout and layout.kind else f"{_KINDS[pixel[2]]}{int(pixel[1]) // 8}" if pixel else ""
    if not 2 <= len(sizes) <= 4 or min(sizes) < 1:
        raise damaged(path)
    if not kind or components not in (1, 3, 4):
        raise UnsupportedLoopError(f"{path} does not hold grey levels or RGB; save it as 8-bit grey.")
    return sizes, components, np.dtype(f"{layout.byte_order if layout else '='}{kind}")


def _read_header(path: Path) -> VolumeHeader:
    suffix = path.suffix.lower()
    if suffix in (".mha", ".mhd"):
        return metaimage_header(path)
    return nrrd_header(path) if suffix in (".nrrd", ".nhdr") else nifti_header(path)


def _information(path: Path) -> sitk.ImageFileReader:
    """Let SimpleITK read the header; what it prints of damage would go past us to the terminal."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise damaged(path) from None
    return reader
