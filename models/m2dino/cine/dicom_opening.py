"""From a DICOM file to the loop in it: frames one by one, or a video stream in a DICOM envelope."""

from __future__ import annotations

from pathlib import Path

from m2dino.cine.dicom_header import read_header
from m2dino.cine.loop import CineLoop


def open_dicom(path: Path) -> CineLoop:
    """Open a DICOM file.

    Raises
    ------
    UnsupportedLoopError, NoPixelDataError, UnsupportedTransferSyntaxError, TruncatedLoopError
        The file cannot be read, and why.
    """
    from m2dino.cine.dicom_video_syntaxes import VIDEO_SYNTAXES

    header = read_header(path)
    if header.transfer_syntax in VIDEO_SYNTAXES:
        from m2dino.cine.dicom_video import DicomVideoLoop

        return DicomVideoLoop(header)
    from m2dino.cine.dicom import DicomLoop

    return DicomLoop(header)
