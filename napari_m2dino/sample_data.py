"""The sample loops of File > Open Sample: real ultrasound, to try the whole round on."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from m2dino.errors import UnsupportedLoopError


def carotid() -> list[tuple[Any, dict[str, Any], str]]:
    """Return a loop of a carotid artery: frames of one recording of CCAUS (Momot 2022, CC BY 4.0).

    The bundled checkpoint knows the task (carotid_artery) and was not trained on this recording.
    """
    from napari_m2dino.reader import read

    with as_file(files("napari_m2dino").joinpath("samples/carotid")) as folder:
        return _named(read(folder), "sample carotid loop")


def echo() -> list[tuple[Any, dict[str, Any], str]]:
    """Return an apical echo of 30 frames, a real DICOM cine that comes with pydicom.

    Its calibration does not fit its image, so lengths are in pixels; no task of the bundled checkpoint fits it.
    """
    from pydicom.examples import get_path

    from napari_m2dino.reader import read

    path = get_path("ybr_color")
    if path is None or not path.is_file():
        raise UnsupportedLoopError("The sample echo comes with pydicom, and this pydicom lacks it: reinstall pydicom.")
    return _named(read(path), "sample echo")


def _named(loops: list[tuple[Any, dict[str, Any], str]], name: str) -> list[tuple[Any, dict[str, Any], str]]:
    for array, options, _ in loops:
        array.loop.name = options["name"] = name
    return loops
