"""Real files for the tests, made by other libraries than the ones that read them wherever there is another."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import av
import imagecodecs
import numpy as np
from m2dino.errors import M2DinoError
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

T = TypeVar("T")
PATIENT = "Doe^Jane"
PATIENT_ID = "ID-4711-XYZ"


def moving_square(frames: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Return (N, H, W, 3) RGB frames that all differ: a bright square walks over a coloured gradient."""
    rows, columns = np.mgrid[:height, :width]
    base = np.stack([rows * 2 % 256, columns * 2 % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    loop = np.repeat(base[None], frames, axis=0)
    for k in range(frames):
        y, x = (7 * k) % (height - 10), (5 * k) % (width - 10)
        loop[k, y : y + 10, x : x + 10] = 255
        loop[k, 0, :8] = [[255 * (k >> bit & 1)] * 3 for bit in range(8)]
    return loop


def dicom_header(
    frames: int, height: int, width: int, syntax: str = ExplicitVRLittleEndian, **more: Any
) -> FileDataset:
    """Return an ultrasound multi-frame data set without pixels; `more` adds or replaces elements by keyword."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    implicit, little = meta.TransferSyntaxUID.is_implicit_VR, meta.TransferSyntaxUID.is_little_endian
    data = FileDataset("", {}, b"\0" * 128, meta, is_implicit_VR=implicit, is_little_endian=little)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientName, data.PatientID, data.StudyDate, data.Modality = PATIENT, PATIENT_ID, "20010203", "US"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.NumberOfFrames, data.Rows, data.Columns = frames, height, width
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    for keyword, value in more.items():
        setattr(data, keyword, value)
    if data.SamplesPerPixel == 1:
        del data.PlanarConfiguration
    return data


def save_native(path: Path, data: FileDataset, pixels: bytes, vr: str = "OB") -> Path:
    """Write uncompressed pixels as they are."""
    data.PixelData = pixels + b"\0" * (len(pixels) % 2)
    data["PixelData"].VR = vr
    data.save_as(path, enforce_file_format=True)
    return path


def save_encapsulated(path: Path, data: FileDataset, frames: list[bytes], extended: bool = False, **how: Any) -> Path:
    """Write compressed frames; `how` goes to pydicom's encapsulate (fragments_per_frame, has_bot)."""
    if extended:
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        data.PixelData = encapsulate(frames, **how)
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
    return path


def jpeg_loop(path: Path, frames: NDArray[np.uint8], quality: int = 90, **more: Any) -> Path:
    """Write a JPEG-baseline loop by Pillow, as most scanners store theirs."""
    count, height, width, _ = frames.shape
    data = dicom_header(count, height, width, JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422", **more)
    return save_encapsulated(path, data, [jpeg(frame, quality) for frame in frames])


def jpeg(frame: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Return a JFIF stream with subsampled colour, by Pillow."""
    stream = BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def lossless_jpeg(samples: NDArray[Any], marker: bytes = b"", ids: bytes = b"\1\2\3", **how: int) -> bytes:
    """Return (H, W, 3) samples as JPEG Lossless, stored as they come, with `marker` in the place of Adobe's.

    libjpeg-turbo calls all samples that it does not convert RGB, by an Adobe marker and the `ids` of the components;
    GDCM writes YBR_FULL without a marker, with ids 1, 2 and 3. `how` goes to imagecodecs.jpeg8_encode.
    """
    coded = bytearray(imagecodecs.jpeg8_encode(samples, lossless=True, **how))
    frame, scan = coded.index(b"\xff\xc3"), coded.index(b"\xff\xda")
    for k, ident in enumerate(ids):
        coded[frame + 10 + 3 * k] = coded[scan + 5 + 2 * k] = ident
    return bytes(coded[:2]) + marker + bytes(coded[frame:])


def rle_loop(path: Path, samples: NDArray[Any], **more: Any) -> Path:
    """Write an RLE loop of (N, H, W, 3) or (N, H, W) samples through pydicom's encoder."""
    data = dicom_header(*samples.shape[:3], **more)
    data.PixelData = samples.tobytes()
    data["PixelData"].VR = "OW" if samples.dtype.itemsize == 2 else "OB"
    data.compress(RLELossless)
    data.save_as(path, enforce_file_format=True)
    return path


def video(
    path: Path,
    frames: NDArray[np.uint8],
    codec: str,
    rate: int | Fraction = 25,
    times: list[int] | None = None,
    aspect: Fraction | None = None,
    **options: str,
) -> Path:
    """Write a video by FFmpeg.

    `times` gives presentation times in milliseconds instead of an even rate, `aspect` the width of a pixel over its
    height.
    """
    # As cameras and discs write it: packets of 192 bytes, each behind its time.
    discs = path.suffix.lower() in (".m2ts", ".mts")
    more: dict[str, Any] = {"format": "mpegts", "options": {"mpegts_m2ts_mode": "1"}} if discs else {}
    with av.open(str(path), "w", **more) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for k, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbered_frames(count: int, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """Return frames that carry their own number as twelve big black or white blocks, readable after lossy coding."""
    frames = np.full((count, height, width, 3), 90, np.uint8)
    for k in range(count):
        for bit in range(12):
            y, x = divmod(bit, 4)
            frames[k, 16 + 24 * y : 36 + 24 * y, 8 + 30 * x : 28 + 30 * x] = 235 if k >> bit & 1 else 20
    return frames


def number_of(frame: NDArray[np.uint8]) -> int:
    """Return the number that a frame of `numbered_frames` carries."""
    number = 0
    for bit in range(12):
        y, x = divmod(bit, 4)
        number |= int(frame[22 + 24 * y : 30 + 24 * y, 14 + 30 * x : 22 + 30 * x].mean() > 128) << bit
    return number


def turn_mp4(path: Path, degrees_clockwise: int) -> None:
    """Write a rotation into the track header of an MP4, as a phone does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees_clockwise]
    data[at : at + 36] = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def attempt(action: Callable[[], T]) -> tuple[T | None, M2DinoError | None]:
    """Return (result, None), or (None, error) where a typed error came; any other exception is a failure."""
    try:
        return action(), None
    except M2DinoError as error:
        return None, error


def region(**more: Any) -> Dataset:
    """Return an ultrasound region over rows 10 to 89 and columns 20 to 119: 2-D tissue, 0.05 cm a pixel."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = 20, 10
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = 119, 89
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.05
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def video_stream(
    frames: NDArray[np.uint8], codec: str, container: str, tags: dict[str, str] | None = None, **options: str
) -> bytes:
    """Return a video as bytes, in a container, which may have tags, or (h264, hevc, mpeg2video) bare."""
    target = BytesIO()
    with av.open(target, "w", format=container) as writing:
        writing.metadata.update(tags or {})
        stream = writing.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            writing.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        writing.mux(stream.encode())
    return target.getvalue()


def video_dicom(path: Path, stream: bytes, syntax: str, frames: int, fragments: int = 1, **more: Any) -> Path:
    """Wrap a video stream of 96 x 128 pixels into a DICOM file."""
    data = dicom_header(frames, 96, 128, syntax, PhotometricInterpretation="YBR_PARTIAL_420", **more)
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.PixelData = encapsulate([stream], fragments_per_frame=fragments)
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
    return path
