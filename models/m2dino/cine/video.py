"""The video reader (MP4, MOV, AVI, Matroska and others): exactly the frame that is asked for, through PyAV.

Frames are found by their timestamps. Going forward decodes on from where the last frame ended; any other jump starts at
the keyframe before the target, and the frames passed just before it are kept, for people step backwards too. Streams
without an index (MPEG program and transport streams, bare ones) are decoded from their start instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from m2dino.cine.calibration import aspect_of
from m2dino.cine.file_bytes import check_unchanged, stamp_of
from m2dino.cine.identity import ContentSignature, EncodedFrame
from m2dino.cine.limits import check_frame_size
from m2dino.cine.loop import CineLoop, Frame
from m2dino.cine.sniffing import read_head
from m2dino.cine.video_index import PacketStamp, VideoIndex, even_step
from m2dino.cine.video_whole import check_whole
from m2dino.errors import FrameDecodeError, LoopError, TruncatedLoopError, UnsupportedLoopError

# Containers only: a playlist, which FFmpeg would recognise by its text, may make it open other files and addresses.
CONTAINERS = "mov,mp4,avi,matroska,webm,mpeg,mpegts,asf,gif"
# Without a container: only met inside DICOM.
BARE_STREAMS = "mpegvideo,h264,hevc"
# Seeking in these is by guess: it may land behind the frame, or give a frame the time of its neighbour.
_WITHOUT_INDEX = ("mpegts", "mpeg")
_KEPT_ON_THE_WAY = 12
# Where every jump back starts at the first frame, more is kept for those who step backwards.
_KEPT_FROM_START = 48


class VideoLoop(CineLoop):
    """A video file as a loop.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UnsupportedLoopError
        Not a video, or none of its streams can be decoded.
    TruncatedLoopError
        A video without its index, or without a single whole frame.
    """

    reader = "video"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._stamp = stamp_of(path)
        self._container: InputContainer | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._next = 0
        self._turns = 0
        self._sought = True
        try:
            self._check_whole()
            self._measure()
        except FFmpegError as error:
            raise self._unreadable(error) from None
        except OSError as error:
            raise UnsupportedLoopError(f"{path} cannot be read ({error.strerror}).") from None
        finally:
            self._release()
        self.name = f"video {self.identity[:8]}"
        self.calibration_reason = "a video gives no pixel size"

    def _unreadable(self, error: FFmpegError) -> LoopError:
        if self.path.suffix.lower() in (".mp4", ".mov", ".m4v") and _begins_like_mp4(self.path):
            return TruncatedLoopError(
                f"{self.path} lacks the index of an MP4 video or ends too soon: it was cut short or never finished; "
                "copy it again from its source."
            )
        return UnsupportedLoopError(f"{self.path} is not a video that can be decoded; convert it to MP4 (H.264).")

    def _check_whole(self) -> None:
        check_whole(self.path)

    def _measure(self) -> None:
        """Walk the packets once for index and identity, and decode the first frame for size and rotation."""
        container, stream = self._start()
        if stream.codec_context is None:
            raise UnsupportedLoopError(
                f"{self.path} is compressed in a way that FFmpeg does not know; convert it to MP4 (H.264)."
            )
        check_frame_size(self.path, stream.codec_context.height, stream.codec_context.width)
        self.codec = stream.codec_context.name
        signature = ContentSignature()
        stamps, packets = [], 0
        for packet in container.demux(stream):
            if packet.size:
                signature.add(EncodedFrame(packet.size, _slice_of(packet)))
                packets += 1
                # An edit list hides some packets: they are decoded, but never shown.
                if not packet.is_discard:
                    stamps.append(PacketStamp(packet.pts, packet.is_keyframe))
        if container.format.name.startswith("mov") and packets < stream.frames:
            raise TruncatedLoopError(
                f"{self.path} holds {packets} of the {stream.frames} frames that its index names: "
                "it was cut short; copy it again from its source."
            )
        bare = container.format.name in BARE_STREAMS.split(",")
        self._index = VideoIndex(stamps, countable=not bare)
        self._sought = self._index.exact and container.format.name not in _WITHOUT_INDEX
        container, stream = self._start()
        first = next(self._frames, None)
        if first is None:
            raise TruncatedLoopError(f"{self.path} holds no frame that can be decoded; copy it again from its source.")
        self._turns = round(first.rotation / 90) % 4
        self.height, self.width = (first.width, first.height) if self._turns % 2 else (first.height, first.width)
        self.pixel_aspect = self._aspect(stream)
        self._coded_size = (first.height, first.width)
        if self._index.exact:
            self._count = len(self._index)
            step = even_step(self._index.times, stream.time_base) if stream.time_base else None
        else:
            self._count = 1 + sum(1 for _ in self._frames)
            step = float(1 / stream.average_rate) if stream.average_rate and self._count > 1 else None
        if step is not None:
            self.set_times(step, "timestamps" if self._index.exact else "frame rate")
        elif self._index.exact and stream.time_base and self._count > 1:
            times = np.asarray(self._index.times, dtype=np.float64)
            self.set_times(None, "timestamps", (times - times[0]) * float(stream.time_base))
        self.identity = signature.finish((self._count, self.height, self.width))

    def _aspect(self, stream: VideoStream) -> float:
        """Return the width of a pixel over its height as frames are shown, turned; 1 where the stream does not say."""
        told = stream.sample_aspect_ratio
        aspect = (aspect_of(told.numerator, told.denominator) if told else None) or 1.0
        return 1 / aspect if self._turns % 2 else aspect

    def __len__(self) -> int:
        return self._count

    def _release(self) -> None:
        if self._container is not None:
            self._frames = iter(())
            self._container.close()
            self._container = None

    def _start(self) -> tuple[InputContainer, VideoStream]:
        """Open the file (again) and stand before its first frame."""
        self._release()
        self._container = container = self._open_container()
        if not container.streams.video:
            raise UnsupportedLoopError(f"{self.path} has no pictures, only sound or data; choose a video.")
        stream = container.streams.video[0]
        self._frames = _decoded(container, stream)
        self._next = 0
        return container, stream

    def _open_container(self) -> InputContainer:
        check_unchanged(self.path, self._stamp)
        return av.open(f"file:{self.path}", options={"format_whitelist": CONTAINERS}, metadata_errors="replace")

    def _seek(self, pts: int) -> None:
        """Stand before the keyframe shown at `pts` ticks, or an earlier one."""
        if self._container is None:
            self._start()
        assert self._container is not None
        stream = self._container.streams.video[0]
        self._container.seek(pts, stream=stream)
        self._frames = _decoded(self._container, stream)

    def _decode(self, index: int) -> Frame:
        try:
            if self._container is not None and self._next <= index and self._is_near(index):
                frame = self._advance_to(index, keep=0)
                if frame is not None:
                    return frame
            # Some files need an earlier keyframe than the nearest: its first pictures lean on the group before.
            for pts in self._index.keyframes_before(index)[:2] if self._sought else ():
                self._seek(pts)
                frame = self._advance_to(index, keep=_KEPT_ON_THE_WAY)
                if frame is not None:
                    return frame
            if not self._sought:
                self._start()
                frame = self._advance_to(index, keep=_KEPT_FROM_START)
                if frame is not None:
                    return frame
        except OSError as error:
            self._release()
            raise FrameDecodeError(f"Frame {index} of {self.path} cannot be read: {error.strerror}.") from None
        except FFmpegError:
            self._release()
        raise FrameDecodeError(f"Frame {index} of {self.path} is damaged; the other frames can still be used.")

    def _is_near(self, index: int) -> bool:
        return not self._sought or self._index.same_group(self._next, index)

    def _advance_to(self, index: int, keep: int) -> Frame | None:
        """Decode on up to frame `index`; None where it is not met. The last `keep` frames before it go to the cache."""
        for frame in self._frames:
            position = self._index.frame_at(frame.pts) if self._index.exact else self._next
            if position is None:
                continue
            self._next = position + 1
            whole = not frame.is_corrupt and (frame.height, frame.width) == self._coded_size
            if position == index:
                return self._as_rgb(frame) if whole else None
            if position > index:
                return None
            if whole and index - position <= keep:
                self._keep(position, self._as_rgb(frame))
        self._next = self._count
        return None

    def _as_rgb(self, frame: VideoFrame) -> Frame:
        return np.rot90(frame.to_ndarray(format="rgb24"), self._turns)


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield the frames of a stream from where it stands; a damaged packet costs its frame, not those after it."""
    for packet in container.demux(stream):
        if packet.is_corrupt:
            continue
        try:
            yield from packet.decode()
        except FFmpegError:
            continue


def _slice_of(packet: Packet) -> Callable[[int, int], bytes]:
    data = memoryview(packet)
    return lambda offset, length: bytes(data[offset : offset + length])


def _begins_like_mp4(path: Path) -> bool:
    return read_head(path)[4:8] == b"ftyp"
