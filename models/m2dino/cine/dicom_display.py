"""From the stored samples of a DICOM frame to 8-bit RGB: windows, palettes and colour models.

Grey and palette values go through one table that holds the answer for every stored value; it is built once a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from m2dino.cine.dicom_header import HEADER_DAMAGE, Header
from m2dino.cine.dicom_layout import PixelLayout
from m2dino.cine.greys import display_range, grey_table, grey_to_rgb
from m2dino.cine.loop import Frame
from m2dino.errors import UnsupportedLoopError


def colour_to_rgb(samples: NDArray[Any], colour: str, bits: int) -> Frame:
    """Return (H, W, 3) samples of `bits` bits as 8-bit RGB; `colour` is "RGB" or "YCbCr" (full range)."""
    if samples.dtype != np.uint8:
        samples = (samples.astype(np.uint16) >> max(bits - 8, 0)).astype(np.uint8)
    if colour == "RGB":
        return samples
    return np.asarray(Image.fromarray(np.ascontiguousarray(samples), mode="YCbCr").convert("RGB"))


class GreyDisplay:
    """The table from a stored grey or palette value to RGB.

    Parameters
    ----------
    header : Header
    layout : PixelLayout
    bits : int
        Bits of a stored sample: the header's, or the codestream's where that says more.
    some_samples : callable
        Returns stored samples of a few frames, spread over the loop; only asked where the file names no window and
        the samples are deeper than 8 bits.
    """

    def __init__(
        self, header: Header, layout: PixelLayout, bits: int, some_samples: Callable[[], Iterable[NDArray[Any]]]
    ) -> None:
        self._header = header
        self._layout = layout
        self._bits = bits
        self._shift = layout.high_bit + 1 - layout.bits_stored
        self._some_samples = some_samples
        self._table: NDArray[np.uint8] | None = None

    def to_rgb(self, samples: NDArray[Any]) -> Frame:
        """Return (H, W) stored samples as (H, W, 3) RGB."""
        if self._table is None:
            self._table = self._build()
        shown = self._table[self._stored(samples)]
        return shown if shown.ndim == 3 else grey_to_rgb(shown)

    def _stored(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Return the stored bits as an index into the table: overlays in unused bits fall away, signs are kept."""
        if self._bits == 8 and samples.dtype == np.uint8:
            return samples
        unsigned = samples.astype(np.uint16)
        if self._bits == self._layout.bits_stored and self._shift:
            unsigned >>= self._shift
        return unsigned & ((1 << self._bits) - 1)

    def _build(self) -> NDArray[np.uint8]:
        values = np.arange(1 << self._bits, dtype=np.int32)
        if self._layout.signed:
            values = np.where(values >= 1 << (self._bits - 1), values - (1 << self._bits), values)
        try:
            if self._layout.photometric == "PALETTE COLOR":
                return _palette(values, self._header.elements)
            table = self._grey(values)
        except HEADER_DAMAGE:
            raise UnsupportedLoopError(
                f"{self._header.path} has a damaged colour or grey-level table; export the loop again."
            ) from None
        return 255 - table if self._layout.photometric == "MONOCHROME1" else table

    def _grey(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        elements = _with_functional_groups(self._header.elements)
        physical = np.asarray(apply_modality_lut(values, elements))
        if elements.get("VOILUTSequence"):
            greys = apply_voi(np.rint(physical).astype(np.int64), elements)
            return grey_table(greys, 0, 2 ** int(elements.VOILUTSequence[0].LUTDescriptor[2]) - 1)
        window = _first_window(elements)
        if window:
            return grey_table(_windowed(physical.astype(np.float64), *window), 0, 1)
        full = (float(physical.min()), float(physical.max()))
        if self._bits > 8:
            used = (physical[self._stored(samples)] for samples in self._some_samples())
            return grey_table(physical, *display_range(used, full))
        return grey_table(physical, *full)


def _palette(values: NDArray[Any], elements: Dataset) -> NDArray[np.uint8]:
    """Return the palette's colour of every stored value, (N, 3), as 8 bit."""
    colours = apply_color_lut(values, elements)
    # Palettes of 16 bits hold the colour in the high byte, except those that were written as 8 bits all the same.
    if colours.dtype.itemsize > 1 and colours.max() > 255:
        colours = colours >> 8
    return colours.astype(np.uint8)


def _with_functional_groups(elements: Dataset) -> Dataset:
    """Return a data set in which window and rescale are where plain files have them (enhanced files nest them)."""
    groups = elements.get("SharedFunctionalGroupsSequence")
    if not groups:
        return elements
    flat = Dataset()
    flat.update(elements)
    for keyword in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
        nested = groups[0].get(keyword)
        if nested:
            flat.update(nested[0])
    return flat


def _first_window(elements: Dataset) -> tuple[float, float, str] | None:
    """Return (centre, width, function) of the first window, or None where the file names none that makes sense."""
    centre, width = (_first_number(elements.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    function = str(elements.get("VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return centre, width, function


def _first_number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    first = value if isinstance(value, str | int | float) else next(iter(value), None)
    return None if first is None else float(first)


def _windowed(values: NDArray[np.float64], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """Return `values` through a window, as 0..1 (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
