"""How the pixels of a DICOM file are laid out, checked before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m2dino.cine.dicom_header import HEADER_DAMAGE, Header
from m2dino.cine.limits import check_frame_size
from m2dino.errors import UnsupportedLoopError

_COLOURS = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}


@dataclass(frozen=True)
class PixelLayout:
    """The pixel module of a DICOM header.

    Attributes
    ----------
    frames, height, width : int
    samples : int
        1 (grey, palette) or 3 (colour).
    bits_allocated, bits_stored, high_bit : int
        Of one sample; 8 or 16 bits are allocated.
    signed : bool
    planar : bool
        Whether uncompressed colour is stored plane by plane.
    photometric : str
        One of MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL, YBR_FULL_422, YBR_ICT, YBR_RCT.
    """

    frames: int
    height: int
    width: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: bool
    photometric: str

    @property
    def frame_bytes(self) -> int:
        """Length of one uncompressed frame in bytes."""
        per_pixel = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.height * self.width * per_pixel * (self.bits_allocated // 8)


def read_layout(header: Header) -> PixelLayout:
    """Return the pixel layout that a header describes.

    Raises
    ------
    UnsupportedLoopError
        An element is missing, contradicts another, or describes pixels that no ultrasound loop has.
    """
    path = header.path
    get = header.elements.get
    try:
        samples = int(get("SamplesPerPixel") or 1)
        photometric = str(get("PhotometricInterpretation") or ("MONOCHROME2" if samples == 1 else "RGB")).strip()
        allocated = int(get("BitsAllocated") or 8)
        stored = int(get("BitsStored") or allocated)
        high = get("HighBit")
        layout = PixelLayout(
            frames=_count(get("NumberOfFrames")),
            height=int(header.elements.Rows),
            width=int(header.elements.Columns),
            samples=samples,
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=stored - 1 if high is None else int(high),
            signed=int(get("PixelRepresentation") or 0) == 1,
            planar=int(get("PlanarConfiguration") or 0) == 1,
            photometric=photometric,
        )
    except HEADER_DAMAGE:
        raise UnsupportedLoopError(f"{path} describes its pixels in a damaged way; export the loop again.") from None
    _check(path, layout)
    return layout


def _count(value: Any) -> int:
    """Return the number of frames; files of one frame leave it out or empty."""
    return 1 if value is None or str(value).strip() == "" else int(value)


def _check(path: Path, layout: PixelLayout) -> None:
    check_frame_size(path, layout.height, layout.width)
    if layout.frames < 1:
        raise UnsupportedLoopError(f"{path} claims {layout.frames} frames: its header is damaged.")
    if layout.photometric not in _COLOURS:
        known = ", ".join(_COLOURS)
        raise UnsupportedLoopError(f"{path} has a colour model that is not read; {known} are. Export it as RGB.")
    if layout.samples != _COLOURS[layout.photometric]:
        raise UnsupportedLoopError(
            f"{path} claims {layout.samples} samples a pixel with colour model {layout.photometric}: "
            "its header is damaged."
        )
    if layout.bits_allocated not in (8, 16):
        raise UnsupportedLoopError(
            f"{path} has {layout.bits_allocated} bits a sample; loops of 8 or 16 bits are read. Export it as 8 bit."
        )
    if not (1 <= layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated):
        raise UnsupportedLoopError(f"{path} contradicts itself about the bits of a pixel: its header is damaged.")
