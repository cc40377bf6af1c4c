"""The de-identified copy of a video: its pictures without tags, sound or data, masked where a box is given."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from m2dino.cine.loop import CineLoop
from m2dino.cine.video import BARE_STREAMS, CONTAINERS
from m2dino.deid.codestream_text import without_comments
from m2dino.deid.masking import TEXT_IN_BOX, masked
from m2dino.deid.options import Box
from m2dino.deid.whole import whole_file
from m2dino.errors import UnsupportedLoopError

_TICKS = 90_000
_CLEAN = {"fflags": "+bitexact"}
# The containers that DICOM allows around a stream, as FFmpeg reads them and as it writes them.
_OF_DICOM = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "mpegts": "mpegts", "mpeg": "vob"}


def copy_video(loop: CineLoop, target: Path, box: Box | None) -> list[str]:
    """Write the copy of a video loop; return warnings for people.

    Without a box the pictures are copied as they are coded; with one they are coded anew, black outside it.

    Raises
    ------
    UnsupportedLoopError
        The video cannot be written in this form.
    FrameDecodeError
        A frame that would have to be masked cannot be decoded; no copy is made.
    UsageError
        `target` exists or cannot be written.
    """
    try:
        with whole_file(target) as part:
            if box is None:
                _remux(loop.path, part)
            else:
                _encode(loop, part, box)
    except (FFmpegError, ValueError):
        raise UnsupportedLoopError(
            f"{loop.path} cannot be written as {target.suffix}; convert it to MP4 first."
        ) from None
    if box is None:
        return ["a video cannot say whether text is burnt into its pictures: look at the copy, or give the box to keep"]
    return [TEXT_IN_BOX]


def stream_without_tags(source: BinaryIO, path: Path) -> bytes:
    """Return a video stream of a DICOM file in the same container, anew; a bare stream has no tags and stays.

    Raises
    ------
    UnsupportedLoopError
        It cannot be written anew; `path` is for the message.
    """
    try:
        with _reading(source, f"{CONTAINERS},{BARE_STREAMS}") as reading:
            container = _OF_DICOM.get(reading.format.name)
            if container is None:
                source.seek(0)
                return source.read()
            target = BytesIO()
            with av.open(target, "w", format=container, options=_CLEAN) as writing:
                _copy_packets(reading, writing)
            return target.getvalue()
    except (FFmpegError, ValueError):
        raise UnsupportedLoopError(
            f"{path} holds a video whose tags cannot be taken out; give the box to keep, so that it is coded anew."
        ) from None


def _remux(source: Path, target: Path) -> None:
    with _reading(f"file:{source}", CONTAINERS) as reading, av.open(f"file:{target}", "w", options=_CLEAN) as writing:
        _copy_packets(reading, writing)


def _reading(source: str | BinaryIO, containers: str) -> InputContainer:
    return av.open(source, mode="r", options={"format_whitelist": containers}, metadata_errors="replace")


def _copy_packets(reading: InputContainer, writing: OutputContainer) -> None:
    """Copy the pictures, without sound, data, tags or, in Motion JPEG and GIF, comments."""
    pictures = reading.streams.video[0]
    copied = writing.add_stream_from_template(pictures)
    copied.metadata.clear()
    writing.metadata.clear()
    aspect = pictures.sample_aspect_ratio
    if aspect is not None and aspect != 1:
        # Where only the container told it, the template has not got it.
        copied.codec_context.sample_aspect_ratio = aspect
    for packet in reading.demux(pictures):
        if not packet.size:
            continue
        kept: Packet[Any] = packet
        if pictures.codec_context.name in ("mjpeg", "gif"):
            kept = Packet(without_comments(bytes(packet)))
            kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.duration, kept.is_keyframe = packet.duration, packet.is_keyframe
        kept.stream = copied
        writing.mux(kept)


def _encode(loop: CineLoop, target: Path, box: Box) -> None:
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    quality = {"crf": "12", "preset": "fast"} if codec == "libx264" else {"qscale": "2"}
    times = loop.frame_times_s
    with av.open(f"file:{target}", "w", options=_CLEAN) as writing:
        stream = cast(VideoStream, writing.add_stream(codec, rate=25, options=quality))
        stream.height, stream.width = loop.height, loop.width
        if loop.pixel_aspect != 1:
            stream.codec_context.sample_aspect_ratio = Fraction(loop.pixel_aspect).limit_denominator(255)
        # Shared colour needs even sizes.
        even = loop.height % 2 == 0 and loop.width % 2 == 0
        stream.pix_fmt = "yuv420p" if even or codec == "mpeg4" else "yuv444p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
        for index, frame in enumerate(loop):
            picture = av.VideoFrame.from_ndarray(masked(frame, [box]), format="rgb24")
            picture.pts = round((index / 25 if times is None else float(times[index])) * _TICKS)
            picture.time_base = Fraction(1, _TICKS)
            writing.mux(stream.encode(picture))
        writing.mux(stream.encode())
