"""The de-identified copy of one DICOM file."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from m2dino.cine.dicom_frames import UNDEFINED_LENGTH, encapsulated_frames
from m2dino.cine.dicom_groups import DATED
from m2dino.cine.dicom_header import (
    DEFLATED,
    HEADER_DAMAGE,
    PALETTE_TABLES,
    CheckedStream,
    Header,
    read_header,
    silenced,
)
from m2dino.cine.dicom_video_syntaxes import VIDEO_SYNTAXES
from m2dino.cine.loop import CineLoop
from m2dino.deid.attributes import declare, deidentify_attributes
from m2dino.deid.codestream_text import without_comments
from m2dino.deid.masking import TEXT_IN_BOX, masked
from m2dino.deid.options import Box, DeidOptions
from m2dino.deid.rle import rle_frame
from m2dino.deid.video_copy import stream_without_tags
from m2dino.deid.whole import whole_file
from m2dino.errors import UnsupportedLoopError

_CHUNK = 2**20
# Shorter words are found in many names by chance.
_SHORTEST_WORD = 3
# They describe stored values that masked frames, which are plain RGB, no longer have.
_OF_STORED_VALUES = (
    *PALETTE_TABLES,
    "PaletteColorLookupTableUID",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "VOILUTSequence",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PresentationLUTShape",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ICCProfile",
)


def copy_dicom(loop: CineLoop, target: Path, options: DeidOptions) -> tuple[bool, list[str]]:
    """Write the de-identified copy of a DICOM loop; return whether pixels were masked, and warnings for people.

    Where the file does not say that it is free of burnt-in text, all outside its ultrasound regions is made black and
    the frames are stored as RGB, run-length encoded. Otherwise the frames are copied as they are, with a warning, less
    their comments and the tags of a video.

    Raises
    ------
    UnsupportedLoopError, TruncatedLoopError
        The file cannot be read.
    FrameDecodeError
        A frame that would have to be masked cannot be decoded; no copy is made.
    UsageError
        `target` exists or cannot be written.
    """
    header = read_header(loop.path)
    data = _all_attributes(header)
    named = _name_tells(data, target)
    says = str(data.get("BurnedInAnnotation") or "").strip().upper()
    wanted = options.mask and says != "NO"
    boxes = [options.box] if options.box else [region.box for region in loop.regions] if wanted else []
    with silenced():
        deidentify_attributes(data, options)
        declare(data, options, bool(boxes))
        _keep_steps(data, loop)
    with whole_file(target) as part, part.open("wb") as file:
        if boxes:
            _write_masked(file, data, loop, boxes)
        else:
            _write_as_is(file, data, header, len(loop))
    header.source.close()
    warnings = _warnings(says, boxes, bool(loop.regions), options)
    if named:
        warnings.append("the name of the copy holds the patient's name or number: give it another")
    return bool(boxes), warnings


def _keep_steps(data: Dataset, loop: CineLoop) -> None:
    """Write the time from frame to frame, in ms, where the file told it by dates, which the copy has no more."""
    times = loop.frame_times_s
    if loop.frame_time_source in DATED and times is not None:
        data.FrameTimeVector = [f"{1000 * step:.6g}" for step in np.diff(times, prepend=times[0])]


def _warnings(says: str, boxes: list[Box], has_regions: bool, options: DeidOptions) -> list[str]:
    if says == "NO" and not boxes:
        # Whoever asked for masking would take the copy for masked; and files are wrong about their text at times.
        told = "the file says that no text is burnt into its pixels, so they were left as they are"
        return [f"{told}: look at the copy, or give the box to keep"] if options.mask else []
    if options.box:
        return [TEXT_IN_BOX]
    told = "says that text is burnt into its pixels" if says == "YES" else "does not say whether text is burnt in"
    if not boxes and has_regions:
        return [f"the file {told}, and nothing was made black: look at the copy"]
    if not boxes:
        told += ", and it names no ultrasound region that fits its frames"
        return [f"the file {told}: look at the copy, or give the box to keep"]
    told += ": all outside its ultrasound regions was made black, but text inside them was not looked for"
    return [f"the file {told}: look at the copy"]


def _name_tells(data: Dataset, target: Path) -> bool:
    """Whether the name that a person chose for the copy holds the patient's name or number."""
    name = target.name.casefold()
    words = [*re.split(r"[\W_]+", str(data.get("PatientName") or "")), str(data.get("PatientID") or "").strip()]
    return any(len(word) >= _SHORTEST_WORD and word.casefold() in name for word in words)


def _all_attributes(header: Header) -> Dataset:
    try:
        with silenced(), header.source.stream() as file:
            data = dcmread(CheckedStream(file, header.source.size), stop_before_pixels=True, force=True)
            for element in data.iterall():
                _ = element.value
    except HEADER_DAMAGE:
        raise UnsupportedLoopError(
            f"{header.path} has a damaged header, so that not all of it can be checked; export the loop again."
        ) from None
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        data.pop(keyword, None)
    return data


def _write_masked(file: BinaryIO, data: Dataset, loop: CineLoop, boxes: list[Box]) -> None:
    for keyword in _OF_STORED_VALUES:
        data.pop(keyword, None)
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.NumberOfFrames = len(loop)
    if loop.pixel_aspect != 1 and "PixelAspectRatio" not in data:
        # The stream of a video said it, which is not copied.
        shape = Fraction(loop.pixel_aspect).limit_denominator(255)
        data.PixelAspectRatio = [shape.denominator, shape.numerator]
    if "ImageType" in data and data.ImageType:
        kind = data.ImageType
        data.ImageType = ["DERIVED", *([] if isinstance(kind, str) else list(kind)[1:])]
    _write_header(file, data, RLELossless)
    _write_items(file, (rle_frame(masked(frame, boxes)) for frame in loop))


def _write_as_is(file: BinaryIO, data: Dataset, header: Header, frames: int) -> None:
    syntax = str(ExplicitVRLittleEndian) if header.transfer_syntax == DEFLATED else header.transfer_syntax
    _write_header(file, data, syntax)
    if header.pixels_length == UNDEFINED_LENGTH:
        _write_items(file, _coded_frames(header, frames))
        return
    order = "<" if header.little_endian else ">"
    length = min(header.pixels_length, header.source.size - header.pixels_at)
    file.write(struct.pack(f"{order}HH", 0x7FE0, 0x0010))
    if syntax == "1.2.840.10008.1.2":
        file.write(struct.pack("<L", length + length % 2))
    else:
        vr = header.pixels_vr or ("OW" if data.BitsAllocated == 16 else "OB")
        file.write(vr.encode() + b"\0\0" + struct.pack(f"{order}L", length + length % 2))
    for piece in _pieces(header, header.pixels_at, length):
        file.write(piece)
    file.write(b"\0" * (length % 2))


def _coded_frames(header: Header, frames: int) -> Iterator[bytes]:
    video = header.transfer_syntax in VIDEO_SYNTAXES
    for fragments in encapsulated_frames(header.source, header.path, header.pixels_at, 1 if video else frames):
        if video:
            with header.source.pieces([(fragment.offset, fragment.length) for fragment in fragments]) as stream:
                yield stream_without_tags(stream, header.path)
            continue
        coded = b"".join(header.source.read(fragment.offset, fragment.length) for fragment in fragments)
        yield without_comments(coded)


def _pieces(header: Header, start: int, length: int) -> Iterator[bytes]:
    for at in range(start, start + length, _CHUNK):
        yield header.source.read(at, min(_CHUNK, start + length - at))


def _write_header(file: BinaryIO, data: Dataset, syntax: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = data.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", "")
    buffer = BytesIO()
    try:
        with silenced():
            dcmwrite(buffer, FileDataset("", data, b"\0" * 128, meta), enforce_file_format=True)
    except HEADER_DAMAGE:
        raise UnsupportedLoopError(
            "The header of the copy cannot be written, for the file's own is damaged; export the loop again."
        ) from None
    file.write(buffer.getvalue())


def _write_items(file: BinaryIO, items: Iterable[bytes]) -> None:
    """Write compressed frames one by one, each as one item; the offset table is left empty, as the standard allows."""
    file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, UNDEFINED_LENGTH) + b"\xfe\xff\x00\xe0\0\0\0\0")
    for item in items:
        padded = item + b"\0" * (len(item) % 2)
        file.write(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(padded)) + padded)
    file.write(b"\xfe\xff\xdd\xe0\0\0\0\0")
