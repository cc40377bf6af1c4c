"""Which names the plugin offers itself for: the file dialog, and what is dropped on the image. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from m2dino.cine.sniffing import (
    ARRAY_SUFFIXES,
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    VOLUME_SUFFIXES,
    is_volume,
)

ENDINGS = {
    "DICOM": sorted(DICOM_SUFFIXES),
    "Videos": sorted(VIDEO_SUFFIXES),
    "Volumes": [*sorted(VOLUME_SUFFIXES), ".nii.gz"],
    "NumPy arrays": sorted(ARRAY_SUFFIXES),
    "Pictures": sorted(IMAGE_SUFFIXES),
}
"""Endings of the files that the engine reads, by kind. DICOM files often have none at all."""


def dialog_filter() -> str:
    """Return the kinds of file that a Qt file dialog offers, in both cases, for some systems tell them apart."""
    every = [f"*{ending}" for endings in ENDINGS.values() for ending in endings]
    both = [*every, *(ending.upper() for ending in every), "DICOMDIR"]
    return f"Loops ({' '.join(both)});;All files, DICOM without ending (*)"


def is_for_loops(paths: Iterable[Path]) -> bool:
    """Whether things dropped on the image are loops by their names: all of them, or they are left to napari.

    Pictures and arrays are left to it, for they may just as well be masks; so are Zarr folders.
    """
    return all(_is_loop(path) for path in paths)


def _is_loop(path: Path) -> bool:
    suffix = path.suffix.lower()
    if path.is_dir():
        return suffix != ".zarr"
    # DICOM files bear the name of an instance, 1.2.840…, or one without any ending.
    return not suffix or suffix[1:].isdecimal() or is_volume(path) or suffix in DICOM_SUFFIXES | VIDEO_SUFFIXES
