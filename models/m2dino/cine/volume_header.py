"""What a volume's header says that SimpleITK does not pass on: units, the meaning of axes, and where the data lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from m2dino.errors import UnsupportedLoopError

_MOST_HEADER_BYTES = 2**24
_MOST_LINE_BYTES = 2**16


@dataclass(frozen=True)
class PixelLayout:
    """Pixels that lie one after another, the first axis fastest, the samples of a pixel together.

    Attributes
    ----------
    byte_order : str
        "<" or ">".
    kind : str
        NumPy kind and width of a sample, such as "u1" or "f4"; "" where it is what SimpleITK says.
    sizes : tuple of int
        Length of every axis but that of colour, in the file's order; empty where SimpleITK is to say.
    components : int
        Samples of a pixel.
    rescale : tuple of float, or None
        (slope, intercept) from stored to true values.
    """

    byte_order: str
    kind: str = ""
    sizes: tuple[int, ...] = ()
    components: int = 1
    rescale: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class VolumeHeader:
    """The header of a volume, axis by axis in the file's order ("x" first).

    Attributes
    ----------
    form : str
        "MetaImage", "NRRD" or "NIfTI".
    data_file : Path
        Where the pixels are: the file itself, or one beside it.
    data_at : int
        Offset of the first stored byte there; 0 where it cannot be known.
    compressed : bool
    time_axis : str or None
        The axis that the header says counts moments.
    spacing_mm : dict of str to float
        Axes whose spacing is certain.
    reason : str
        Why a spacing is missing, or where it comes from.
    step_s : float or None
        Seconds between frames along the time axis.
    times_s : ndarray of float64 or None
        Seconds of each frame, where the header gives them one by one.
    layout : PixelLayout or None
        How the pixels lie in the (unpacked) file; None where only SimpleITK can tell.
    unpacked_at : int
        Offset of the first pixel among the unpacked bytes.
    """

    form: str
    data_file: Path
    data_at: int
    compressed: bool
    time_axis: str | None = None
    spacing_mm: dict[str, float] = field(default_factory=dict)
    reason: str = "the file gives no pixel size"
    step_s: float | None = None
    times_s: NDArray[np.float64] | None = None
    layout: PixelLayout | None = None
    unpacked_at: int = 0


def damaged(path: Path) -> UnsupportedLoopError:
    """Return the error for a volume whose header makes no sense."""
    return UnsupportedLoopError(f"{path} is not a volume that can be read, or it is damaged; export it again.")


def header_lines(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the text lines of a file, each with the offset behind it, as far as a header can reach."""
    with path.open("rb") as file:
        while file.tell() < _MOST_HEADER_BYTES:
            line = file.readline(_MOST_LINE_BYTES)
            if not line:
                return
            yield line.decode("latin-1").strip(), file.tell()


def beside(path: Path, name: str) -> Path:
    """Return the data file that a header names.

    Raises
    ------
    UnsupportedLoopError
        It is a list or pattern of files, lies elsewhere, or is missing.
    """
    if not name or name.upper().startswith("LIST") or "%" in name:
        raise UnsupportedLoopError(f"{path} spreads its pixels over several files; save it as one volume.")
    if Path(name).name != name or name in (".", ".."):
        raise UnsupportedLoopError(f"{path} names pixels in another folder; put both files into one and export again.")
    data = path.parent / name
    if not data.is_file():
        raise UnsupportedLoopError(f"{path} needs the file {name} beside it, which is missing; copy both.")
    return data


def axis_spacings(names: str, values: Mapping[str, float]) -> dict[str, float]:
    """Return the spacings of the axes in `names` that are positive and finite."""
    return {name: values[name] for name in names if name in values and np.isfinite(values[name]) and values[name] > 0}


def floats(text: str) -> list[float]:
    """Return the numbers of a header line; what is no number is NaN."""
    numbers = []
    for part in text.replace(",", " ").split():
        try:
            numbers.append(float(part))
        except ValueError:
            numbers.append(float("nan"))
    return numbers
