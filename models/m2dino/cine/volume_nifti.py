"""The header of NIfTI (.nii, .nii.gz), versions 1 and 2."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

from m2dino.cine.volume_header import PixelLayout, VolumeHeader, axis_spacings, damaged

_AXES = "xyzt"
_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
# NIfTI data type: kind of a sample, samples of a pixel.
_KINDS = {
    2: ("u1", 1),
    4: ("i2", 1),
    8: ("i4", 1),
    16: ("f4", 1),
    64: ("f8", 1),
    256: ("i1", 1),
    512: ("u2", 1),
    768: ("u4", 1),
    1024: ("i8", 1),
    1280: ("u8", 1),
    128: ("u1", 3),
    2304: ("u1", 4),
}
_LEAST_OFFSET = 348
_SECONDS = {8: 1.0, 16: 0.001, 24: 1e-6}
_NO_UNIT = "the volume does not say in which unit its spacing is"
_DEFAULT = "the volume's spacing is 1, which programs write that know none"


def nifti_header(path: Path) -> VolumeHeader:
    """Read the header of a NIfTI file; its fourth axis is time by the format's definition.

    Raises
    ------
    UnsupportedLoopError
        It is damaged.
    """
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(544)
        dims, steps, units, offset = _fields(head)
        layout = _layout(head, dims)
        if offset < _LEAST_OFFSET or (head[344:348] != b"n+1\0" and head[4:8] != b"n+2\0"):
            raise ValueError("no single NIfTI file")
    except (struct.error, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError):
        raise damaged(path) from None
    scale = _MM.get(units & 0x07)
    # What SimpleITK writes that knows neither: millimetres and seconds, and 1 of each.
    default = scale is not None and set(steps[1 : 1 + min(dims[0], 3)]) == {1.0}
    sizes = dict(zip(_AXES, steps[1:5], strict=False))
    known = {} if scale is None or default else {axis: size * scale for axis, size in sizes.items()}
    tick = _SECONDS.get(units & 0x38)
    timed = dims[0] >= 4 and dims[4] > 1
    step_s = steps[4] * tick if timed and tick and steps[4] > 0 else None
    return VolumeHeader(
        "NIfTI",
        path,
        0 if packed else offset,
        packed,
        "t" if timed else None,
        axis_spacings("xyz", known),
        _NO_UNIT if scale is None else _DEFAULT if default else "from the volume's spacing",
        step_s=None if default and step_s == 1 else step_s,
        layout=layout,
        unpacked_at=offset if packed else 0,
    )


def _layout(head: bytes, dims: tuple[int, ...]) -> PixelLayout | None:
    """Return how the pixels lie; kinds of values and dimensions that no loop has are left to SimpleITK."""
    order = "<" if struct.unpack_from("<i", head)[0] in (348, 540) else ">"
    short = struct.unpack_from(f"{order}i", head)[0] == 348
    code = struct.unpack_from(f"{order}h", head, 70 if short else 12)[0]
    slope, intercept = (
        struct.unpack_from(f"{order}2f", head, 112) if short else struct.unpack_from(f"{order}2d", head, 176)
    )
    if code not in _KINDS or not 1 <= dims[0] <= 7 or any(length > 1 for length in dims[5 : dims[0] + 1]):
        return None
    kind, components = _KINDS[code]
    # A slope of 0 means none; so does one that is no number.
    scaled = math.isfinite(slope) and math.isfinite(intercept) and slope != 0 and (slope, intercept) != (1, 0)
    return PixelLayout(order, kind, dims[1 : dims[0] + 1][:4], components, (slope, intercept) if scaled else None)


def _fields(head: bytes) -> tuple[tuple[int, ...], tuple[float, ...], int, int]:
    """Return dim, pixdim, xyzt_units and vox_offset."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", head)[0]
        if size == 348:
            dims = struct.unpack_from(f"{order}8h", head, 40)
            steps = struct.unpack_from(f"{order}8f", head, 76)
            return dims, steps, head[123], int(struct.unpack_from(f"{order}f", head, 108)[0])
        if size == 540:
            dims = struct.unpack_from(f"{order}8q", head, 16)
            steps = struct.unpack_from(f"{order}8d", head, 104)
            offset, units = (struct.unpack_from(f"{order}{form}", head, at)[0] for form, at in (("q", 168), ("i", 500)))
            return dims, steps, units, offset
    raise ValueError("no NIfTI header")
