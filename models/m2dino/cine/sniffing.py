"""What kind of thing a path is, from its first bytes; the suffix only settles what bytes leave open."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from m2dino.errors import UnsupportedLoopError

Kind = Literal["dicom", "video", "images", "volume", "array"]

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
IMAGE_SUFFIXES = TIFF_SUFFIXES | {".png", ".jpg", ".jpeg", ".bmp"}
_TRANSPORT_SUFFIXES = frozenset({".ts", ".m2ts", ".mts"})
VIDEO_SUFFIXES = _TRANSPORT_SUFFIXES | {
    ".mp4",
    ".m4v",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".wmv",
    ".gif",
}
DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
VOLUME_SUFFIXES = frozenset({".nii", ".mha", ".mhd", ".nrrd", ".nhdr"})
_TRANSPORT_MARK = b"G"
_HEAD_BYTES = 132
_IMAGE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*")
# Matroska, Windows Media, GIF.
_VIDEO_MAGIC = (b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"GIF87a", b"GIF89a")
_ARRAY_MAGIC = (b"\x93NUMPY", b"PK\x03\x04")
_BARE_DICOM_GROUPS = (b"\x08\x00", b"\x02\x00")


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    UnsupportedLoopError
        The file is not there, may not be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise UnsupportedLoopError(f"{path} does not exist.") from None
    except OSError as error:
        raise UnsupportedLoopError(f"{path} cannot be read ({error.strerror}).") from None
    if not head:
        raise UnsupportedLoopError(f"{path} is empty.")
    return head


def is_volume(path: Path) -> bool:
    """Whether the name is that of a research volume (NIfTI, MetaImage, NRRD)."""
    return path.suffix.lower() in VOLUME_SUFFIXES or path.name.lower().endswith(".nii.gz")


def kind_of_file(path: Path) -> Kind | None:
    """Return which reader a file is for, or None when no reader knows it.

    Raises
    ------
    UnsupportedLoopError
        The file cannot be read or is empty.
    """
    head = read_head(path)
    suffix = path.suffix.lower()
    if head[128:132] == b"DICM":
        return "dicom"
    if is_volume(path):
        return "volume"
    if suffix in ARRAY_SUFFIXES:
        return "array" if head.startswith(_ARRAY_MAGIC) else None
    if head[4:8] == b"ftyp" or head.startswith(_VIDEO_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "video"
    if suffix in IMAGE_SUFFIXES or head.startswith(_IMAGE_MAGIC[:2]):
        return "images" if head.startswith(_IMAGE_MAGIC) else None
    if suffix in _TRANSPORT_SUFFIXES:
        # A packet begins with its mark, on discs behind four bytes of its time; .ts is also a kind of program text.
        return "video" if _TRANSPORT_MARK in (head[:1], head[4:5]) else None
    if suffix in VIDEO_SUFFIXES:
        return "video"
    # Files of before 1993, and some exports, have neither preamble nor meta header: they begin with their first group.
    if (suffix in DICOM_SUFFIXES or not suffix[1:].isalpha()) and head[:2] in _BARE_DICOM_GROUPS:
        return "dicom"
    return None
