"""The de-identified copy of a video: its pictures without tags, sound or data, masked where a box is given."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

from m2dino.cine.loop import CineLoop
from m2dino.cine.video import CONTAINERS
from m2dino.deid.masking import masked
from m2dino.deid.options import Box
from m2dino.deid.whole import whole_file
from m2dino.errors import UnsupportedLoopError

_TICKS = 90_000
_CLEAN = {"fflags": "+bitexact"}


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
    return ["text inside the box was not looked for"]


def _remux(source: Path, target: Path) -> None:
    options = {"format_whitelist": CONTAINERS}
    with (
        av.open(f"file:{source}", options=options, metadata_errors="replace") as reading,
        av.open(f"file:{target}", "w", options=_CLEAN) as writing,
    ):
        pictures = reading.streams.video[0]
        copied = writing.add_stream_from_template(pictures)
        copied.metadata.clear()
        writing.metadata.clear()
        for packet in reading.demux(pictures):
            if packet.size:
                packet.stream = copied
                writing.mux(packet)


def _encode(loop: CineLoop, target: Path, box: Box) -> None:
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    quality = {"crf": "12", "preset": "fast"} if codec == "libx264" else {"qscale": "2"}
    times = loop.frame_times_s
    with av.open(f"file:{target}", "w", options=_CLEAN) as writing:
        stream = cast(VideoStream, writing.add_stream(codec, rate=25, options=quality))
        stream.height, stream.width = loop.height, loop.width
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
