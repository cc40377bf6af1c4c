"""A video stream (MPEG-2, H.264, HEVC) in a DICOM envelope: decoded as a video, described by the DICOM header."""

from __future__ import annotations

import av
from av.container import InputContainer
from av.error import FFmpegError

from m2dino.cine.dicom_about import describe
from m2dino.cine.dicom_frames import UNDEFINED_LENGTH, encapsulated_frames
from m2dino.cine.dicom_header import HEADER_DAMAGE, Header
from m2dino.cine.dicom_video_syntaxes import VIDEO_SYNTAXES
from m2dino.cine.video import BARE_STREAMS, CONTAINERS, VideoLoop
from m2dino.errors import LoopError, TruncatedLoopError, UnsupportedLoopError

# Encoders drop or repeat a frame or two at the ends, and headers count them all the same; more is damage.
_FEW = 2
_FEW_OF = 0.01


class DicomVideoLoop(VideoLoop):
    """A DICOM file whose pixel data is a video.

    The number of frames is that of the stream. A bare stream and a transport stream have no index, so that jumping back
    in them decodes from the start.

    Parameters
    ----------
    header : Header

    Raises
    ------
    UnsupportedLoopError
        There is no video that can be decoded, or the header contradicts it.
    TruncatedLoopError
        The stream holds clearly fewer frames than the header claims.
    """

    def __init__(self, header: Header) -> None:
        path = header.path
        if header.pixels_length != UNDEFINED_LENGTH:
            raise UnsupportedLoopError(
                f"{path} contradicts itself about its compression: its header is damaged; export the loop again."
            )
        self._header = header
        (fragments,) = encapsulated_frames(header.source, path, header.pixels_at, 1)
        self._runs = [(fragment.offset, fragment.length) for fragment in fragments]
        super().__init__(path)
        self.reader = "dicom"
        self.codec = f"{VIDEO_SYNTAXES[header.transfer_syntax]} ({self.codec})"
        self._compare(header)
        describe(self, header)

    def _compare(self, header: Header) -> None:
        try:
            size = (int(header.elements.Rows), int(header.elements.Columns))
            claimed = int(header.elements.get("NumberOfFrames") or 1)
        except HEADER_DAMAGE:
            raise UnsupportedLoopError(
                f"{self.path} describes its pixels in a damaged way; export the loop again."
            ) from None
        if size != (self.height, self.width):
            raise UnsupportedLoopError(
                f"{self.path} claims frames of {size[1]} × {size[0]} pixels but holds {self.width} × {self.height}: "
                "its header is damaged; export the loop again."
            )
        apart = max(_FEW, _FEW_OF * claimed)
        if abs(claimed - len(self)) > apart:
            error = TruncatedLoopError if claimed > len(self) else UnsupportedLoopError
            raise error(
                f"{self.path} holds {len(self)} frames but its header claims {claimed}: "
                "it was cut short or its header is damaged; export the loop again."
            )

    def _check_whole(self) -> None:
        """Leave it to the number of frames, which the header knows."""

    def _release(self) -> None:
        super()._release()
        self._header.source.close()

    def _unreadable(self, error: FFmpegError) -> LoopError:
        return UnsupportedLoopError(f"{self.path} holds a video that cannot be decoded; export the loop again.")

    def _open_container(self) -> InputContainer:
        stream = self._header.source.pieces(self._runs)
        options = {"format_whitelist": f"{CONTAINERS},{BARE_STREAMS}"}
        return av.open(stream, mode="r", options=options, metadata_errors="replace")
