"""The DICOM reader: any number of frames, compressed or not, decoded one at a time from the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.codestream import read_codestream
from m2dino.cine.dicom_about import describe
from m2dino.cine.dicom_codecs import MOST_BY_RLE, NATIVE, RLE, DamagedFrameError, codec_name, decode_compressed
from m2dino.cine.dicom_display import GreyDisplay, colour_to_rgb
from m2dino.cine.dicom_frames import UNDEFINED_LENGTH, FrameBytes, encapsulated_frames, native_frames
from m2dino.cine.dicom_header import Header
from m2dino.cine.dicom_layout import read_layout
from m2dino.cine.dicom_native import decode_native
from m2dino.cine.greys import spread
from m2dino.cine.identity import EncodedFrame, content_signature
from m2dino.cine.loop import CineLoop, Frame
from m2dino.errors import FrameDecodeError, TruncatedLoopError, UnsupportedLoopError


class DicomLoop(CineLoop):
    """A DICOM file of one or many frames.

    Parameters
    ----------
    header : Header

    Raises
    ------
    UnsupportedLoopError, NoPixelDataError, UnsupportedTransferSyntaxError, TruncatedLoopError
        The file cannot be read, and why.
    """

    reader = "dicom"

    def __init__(self, header: Header) -> None:
        super().__init__()
        self.path = path = header.path
        self._syntax = header.transfer_syntax
        self._little_endian = header.little_endian
        self.codec = codec_name(path, self._syntax)
        self._layout = layout = read_layout(header)
        self.height, self.width = layout.height, layout.width
        # In big-endian files 8-bit pixels may be stored as 16-bit words, byte by byte the wrong way round.
        self._swapped = not self._little_endian and layout.bits_allocated == 8 and header.pixels_vr == "OW"
        self._pixels_at = header.pixels_at
        try:
            self._bytes = header.source
            self._frames = self._find_frames(header)
            bits = self._check_first_frame()
            encoded = (EncodedFrame(sum(f.length for f in frame), self._reader_of(frame)) for frame in self._frames)
            self.identity = content_signature((len(self), self.height, self.width), encoded)
        except OSError as error:
            raise UnsupportedLoopError(f"{path} cannot be read ({error.strerror}).") from None
        # Reopened with the first frame: a program may hold many loops, and open files are few.
        self._bytes.close()
        self._display = GreyDisplay(header, layout, bits, self._some_samples)
        describe(self, header)

    def __len__(self) -> int:
        return len(self._frames)

    def _release(self) -> None:
        self._bytes.close()

    def _find_frames(self, header: Header) -> list[FrameBytes]:
        layout, at = self._layout, header.pixels_at
        compressed = header.pixels_length == UNDEFINED_LENGTH
        if compressed == (self._syntax in NATIVE):
            raise UnsupportedLoopError(
                f"{self.path} contradicts itself about its compression: its header is damaged; export the loop again."
            )
        if compressed:
            table = _offsets(header.elements.get("ExtendedOffsetTable"))
            return encapsulated_frames(self._bytes, self.path, at, layout.frames, table)
        if layout.photometric in ("YBR_ICT", "YBR_RCT") or (layout.photometric == "YBR_FULL_422" and layout.width % 2):
            raise UnsupportedLoopError(
                f"{self.path} has a colour model that uncompressed pixels cannot have: its header is damaged."
            )
        available = min(header.pixels_length, header.source.size - at)
        return native_frames(self.path, at, available, layout.frames, layout.frame_bytes)

    def _check_first_frame(self) -> int:
        """Check the header against the first frame before anything is decoded; return the bits of a sample."""
        layout = self._layout
        if self._syntax in NATIVE:
            return layout.bits_stored
        if self._syntax == RLE:
            coded = sum(fragment.length for fragment in self._frames[0])
            if coded * MOST_BY_RLE < layout.frame_bytes:
                raise TruncatedLoopError(
                    f"{self.path} claims frames of {layout.width} × {layout.height} pixels, more than its data can be: "
                    "it was cut short or its header is damaged; export the loop again."
                )
            return layout.bits_stored
        head = read_codestream(self._bytes_of(self._frames[0]))
        if head is None:
            # Only this frame may be damaged: it says so when it is asked for.
            return layout.bits_stored
        if (head.height, head.width) != (layout.height, layout.width):
            error = (
                TruncatedLoopError if layout.height * layout.width > head.height * head.width else UnsupportedLoopError
            )
            raise error(
                f"{self.path} claims frames of {layout.width} × {layout.height} pixels but holds {head.width} × "
                f"{head.height}: its header is damaged; export the loop again."
            )
        return max(layout.bits_stored, min(head.precision, 16))

    def _decode(self, index: int) -> Frame:
        try:
            samples, colour = self._samples(index)
        except DamagedFrameError:
            raise FrameDecodeError(
                f"Frame {index} of {self.path} is damaged; the other frames can still be used."
            ) from None
        except OSError as error:
            raise FrameDecodeError(f"Frame {index} of {self.path} cannot be read: {error.strerror}.") from None
        if colour:
            return colour_to_rgb(samples, colour, self._layout.bits_stored)
        return self._display.to_rgb(samples)

    def _samples(self, index: int) -> tuple[NDArray[Any], str]:
        """Return the stored samples of a frame, of the loop's size, and their colour model ("" for one sample)."""
        data = self._bytes_of(self._frames[index])
        if self._syntax in NATIVE:
            return decode_native(data, self._layout, self._little_endian)
        samples, colour = decode_compressed(self._syntax, data, self._layout)
        if samples.shape[:2] != (self.height, self.width) or samples.ndim != (3 if colour else 2):
            raise DamagedFrameError
        return samples, colour

    def _some_samples(self) -> Iterator[NDArray[Any]]:
        for index in spread(len(self)):
            try:
                samples, colour = self._samples(index)
            except DamagedFrameError:
                continue
            if not colour:
                yield samples

    def _bytes_of(self, frame: FrameBytes) -> bytes:
        return b"".join(self._read(fragment.offset, fragment.length) for fragment in frame)

    def _reader_of(self, frame: FrameBytes) -> Any:
        def read(offset: int, length: int) -> bytes:
            pieces = []
            for fragment in frame:
                if offset < fragment.length and length > 0:
                    piece = self._read(fragment.offset + offset, min(length, fragment.length - offset))
                    pieces.append(piece)
                    offset, length = 0, length - len(piece)
                else:
                    offset -= fragment.length
            return b"".join(pieces)

        return read

    def _read(self, offset: int, length: int) -> bytes:
        if self._swapped:
            return self._read_swapped(offset, length)
        data = self._bytes.read(offset, length)
        if len(data) != length:
            raise DamagedFrameError
        return data

    def _read_swapped(self, offset: int, length: int) -> bytes:
        lead = (offset - self._pixels_at) % 2
        words = self._bytes.read(offset - lead, length + lead + (length + lead) % 2)
        return np.frombuffer(words, dtype=">u2").astype("<u2").tobytes()[lead : lead + length]


def _offsets(value: Any) -> list[int]:
    """Return the extended offset table: 64-bit numbers, relative to the first fragment like the basic one."""
    raw = bytes(value or b"")
    return list(struct.unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8]))
