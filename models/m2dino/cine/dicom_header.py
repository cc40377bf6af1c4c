"""The header of a DICOM file: what a loop needs of it and nothing else, with the place where the pixels begin.

Only technical elements are parsed. Names, numbers and dates of the patient are skipped unread, so they can get neither
into a message nor into a warning of the parser.
"""

from __future__ import annotations

import logging
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from m2dino.cine.file_bytes import FileBytes
from m2dino.cine.inflated import InflatedBytes
from m2dino.errors import NoPixelDataError, TruncatedLoopError, UnsupportedLoopError

PALETTE_TABLES = tuple(
    f"{segmented}{colour}PaletteColorLookupTable{part}"
    for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    for colour in ("Red", "Green", "Blue")
)
"""Keywords of the elements that a PALETTE COLOR image takes its colours from."""

_KEYWORDS = (
    "SOPClassUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    *PALETTE_TABLES,
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelAspectRatio",
    "SequenceOfUltrasoundRegions",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "FrameTime",
    "FrameTimeVector",
    "CineRate",
    "RecommendedDisplayFrameRate",
    "RWaveTimeVector",
    "RWavePointer",
    "FrameNumbersOfInterest",
    "FrameOfInterestType",
    "FrameOfInterestDescription",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
DEFLATED = "1.2.840.10008.1.2.1.99"
# What a deflated data set is read under once it is inflated: group 2 with Explicit VR Little Endian alone.
_PLAIN_HEAD = b"\0" * 128 + b"DICM" + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
_UID = re.compile(r"[0-9.]{1,64}")
_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
# What pydicom lets through on damaged headers.
HEADER_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    MemoryError,
    AssertionError,
    struct.error,
    InvalidDicomError,
    BytesLengthException,
)
_QUIET = threading.Lock()


@dataclass(frozen=True)
class Header:
    """The technical header of a DICOM file.

    Attributes
    ----------
    path : Path
    elements : FileDataset
        The elements read; patient data is not among them.
    transfer_syntax : str
        UID; implicit or explicit little endian is told from the bytes where the file does not say.
    pixels_at, pixels_length : int
        Offset of the first byte of the pixel data element's value, and its length; a length of 0xFFFFFFFF means
        encapsulated (compressed) frames.
    pixels_vr : str
        OB or OW; empty in implicit files.
    source : FileBytes
        The bytes that `pixels_at` counts in: the file, or its inflated content. Its size is that of all of them.
    """

    path: Path
    elements: FileDataset
    transfer_syntax: str
    pixels_at: int
    pixels_length: int
    pixels_vr: str
    source: FileBytes

    @property
    def little_endian(self) -> bool:
        return self.transfer_syntax != "1.2.840.10008.1.2.2"


class _DeflatedError(Exception):
    """The data set is deflated; `start` is where."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start


class CheckedStream:
    """A binary file for pydicom that never takes memory for bytes that are not there.

    A damaged length would otherwise make it ask for up to 4 GiB. It also notes whether the header ends early.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self.cut_short = False

    def read(self, length: int = -1) -> bytes:
        if length < 0:
            # pydicom reads "all" only to inflate it: without a bound, and all of it in memory.
            raise _DeflatedError(self._file.tell())
        data = self._file.read(min(length, max(self._size - self._file.tell(), 0)))
        self.cut_short |= 0 < len(data) < length
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        position = self._file.seek(offset, whence)
        self.cut_short |= position > self._size
        return position

    def tell(self) -> int:
        return self._file.tell()


def read_header(path: Path) -> Header:
    """Read the header of a DICOM file, up to its pixels.

    Raises
    ------
    UnsupportedLoopError
        Not DICOM, or a damaged header.
    NoPixelDataError
        DICOM, but without an image.
    TruncatedLoopError
        The file ends inside its header, or inside its deflated data set.
    """
    try:
        source = FileBytes(path)
        try:
            with path.open("rb") as file:
                return _parse(path, file, source)
        except _DeflatedError as deflated:
            source = InflatedBytes(path, _PLAIN_HEAD, deflated.start)
        with source.stream() as inflated:
            return replace(_parse(path, inflated, source), transfer_syntax=DEFLATED)
    except OSError as error:
        raise UnsupportedLoopError(f"{path} cannot be read ({error.strerror}).") from None


def _parse(path: Path, file: BinaryIO, source: FileBytes) -> Header:
    stream = CheckedStream(file, source.size)
    try:
        with silenced():
            elements = dcmread(
                stream,
                stop_before_pixels=True,
                force=True,
                specific_tags=list(_KEYWORDS),
            )
            implicit, little = elements.original_encoding
            syntax = str(elements.file_meta.get("TransferSyntaxUID") or "")
            _settle(elements)
    except HEADER_DAMAGE:
        raise UnsupportedLoopError(f"{path} is not a DICOM file, or its header is damaged.") from None
    if not syntax:
        syntax = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
    if not _UID.fullmatch(syntax):
        # It would stand in a message, and this one may say anything.
        raise UnsupportedLoopError(f"{path} does not say how it is compressed: its header is damaged.")
    has_rows = "Rows" in elements and "Columns" in elements
    start = _pixel_element(file, bool(implicit), bool(little))
    if start is None:
        if stream.cut_short:
            raise TruncatedLoopError(f"{path} ends inside its header: it was cut short; copy it again from its source.")
        if not has_rows and "SOPClassUID" not in elements and "MediaStorageSOPClassUID" not in elements.file_meta:
            raise UnsupportedLoopError(f"{path} is not a DICOM file, or its header is damaged.")
        raise NoPixelDataError(f"{path} is a DICOM file without an image; choose the file that holds the loop.")
    if not has_rows:
        raise UnsupportedLoopError(f"{path} does not say how large its frames are: its header is damaged.")
    at, length, vr = start
    return Header(path, elements, syntax, at, length, vr, source)


@contextmanager
def silenced() -> Iterator[None]:
    """Keep the parser quiet: its warnings quote damaged elements, which may be anything, a name among them.

    Filters and loggers belong to the whole process, hence the lock: two loops may be opened at once.
    """
    log = logging.getLogger("pydicom")
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before


def _pixel_element(file: BinaryIO, implicit: bool, little: bool) -> tuple[int, int, str] | None:
    """Return (offset, length, VR) of the value of the pixel data element at which the parser stopped, or None."""
    order = "<" if little else ">"
    raw = file.read(12)
    if len(raw) < 8:
        return None
    group, element = struct.unpack(order + "HH", raw[:4])
    tag = group << 16 | element
    if tag in _FLOAT_PIXEL_DATA or tag != _PIXEL_DATA:
        return None
    if implicit or not raw[4:6].isalpha():
        return file.tell() - len(raw) + 8, struct.unpack(order + "L", raw[4:8])[0], ""
    if len(raw) < 12:
        return None
    return file.tell(), struct.unpack(order + "L", raw[8:12])[0], raw[4:6].decode("ascii")


def _settle(elements: Dataset) -> None:
    """Convert every element now, where warnings are silenced, and drop those that do not convert."""
    for tag in list(elements.keys()):
        try:
            element = elements[tag]
            for item in element.value if element.VR == "SQ" else ():
                _settle(item)
        except HEADER_DAMAGE:
            del elements[tag]
