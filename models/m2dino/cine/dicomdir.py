"""DICOMDIR: the table of contents of a disc, from which only the places of image files are taken."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from m2dino.cine.dicom_header import HEADER_DAMAGE, silenced
from m2dino.errors import NoPixelDataError, UnsupportedLoopError

_MOST_BYTES = 2**26


def referenced_images(path: Path) -> list[Path]:
    """Return the image files that a DICOMDIR names and that are there, in its order.

    Names of patients, which such a table is full of, are not kept. A name that leads out of the folder is passed over.

    Raises
    ------
    UnsupportedLoopError
        It is damaged.
    NoPixelDataError
        It names no image, or none of them is there.
    """
    names = _file_ids(path)
    found = [file for parts in names if (file := _find(path.parent, parts)) is not None]
    if not found:
        told = "none of the images it names is there; copy the whole disc" if names else "it names no image"
        raise NoPixelDataError(f"{path} is a table of contents, but {told}.")
    return list(dict.fromkeys(found))


def _file_ids(path: Path) -> list[list[str]]:
    if path.stat().st_size > _MOST_BYTES:
        raise UnsupportedLoopError(f"{path} is too large for a table of contents; open the loops themselves.")
    try:
        with silenced():
            contents = dcmread(path, specific_tags=["DirectoryRecordSequence"])
            names = []
            for record in contents.get("DirectoryRecordSequence") or []:
                value = record.get("ReferencedFileID")
                if value and str(record.get("DirectoryRecordType", "")).strip() == "IMAGE":
                    names.append([value] if isinstance(value, str) else [str(part) for part in value])
    except HEADER_DAMAGE:
        raise UnsupportedLoopError(f"{path} is a damaged table of contents; open the loops themselves.") from None
    return names


def _find(folder: Path, parts: list[str]) -> Path | None:
    """Return the file of that id, whatever its upper or lower case, or None where it is not there."""
    place = folder
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\\" in part:
            return None
        wanted = {part.casefold(), f"{part.casefold()}.dcm"}
        exact = place / part
        if not exact.exists():
            matches = [each for each in place.iterdir() if each.name.casefold() in wanted] if place.is_dir() else []
            if not matches:
                return None
            exact = matches[0]
        place = exact
    return place if place.is_file() else None
