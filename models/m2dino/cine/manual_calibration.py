"""A scale that a person gives: a line over the depth scale and its length, remembered for the loop.

Each loop has a file of its own, named after the loop's identity, so that two programs never write over one another.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from m2dino.cine.calibration import Calibration
from m2dino.cine.loop import CineLoop
from m2dino.data.durable import write_whole
from m2dino.errors import StoreWriteError, UsageError

Point = tuple[float, float]
SOURCE = "set by hand"
# A line ends within a pixel or so of where it was meant: shorter ones would be wrong by more than a tenth.
SHORTEST_PX = 20.0


def calibration_of_line(
    start: Point,
    end: Point,
    length_mm: float,
    region: tuple[int, int, int, int] | None = None,
    pixel_aspect: float = 1.0,
) -> Calibration:
    """Return the scale by which a line has the length that a person read off.

    Parameters
    ----------
    start, end : (y, x)
        Ends of the line, original-frame pixels.
    length_mm : float
    region : tuple of int, optional
        (y_min, x_min, y_max, x_max), end exclusive, where it holds; the whole frame without one.
    pixel_aspect : float
        Width of a pixel over its height; square pixels without one.

    Raises
    ------
    UsageError
        The line is too short to be exact, or the length makes no sense.
    """
    pixels = math.dist(start, end)
    if not math.isfinite(pixels) or pixels < SHORTEST_PX:
        raise UsageError(f"The line is too short to measure by: draw one of at least {SHORTEST_PX:.0f} pixels.")
    if not (math.isfinite(length_mm) and length_mm > 0):
        raise UsageError("The length of the line has to be a number of millimetres above 0.")
    height_mm = length_mm / math.hypot(end[0] - start[0], (end[1] - start[1]) * pixel_aspect)
    try:
        return Calibration(height_mm, height_mm * pixel_aspect, region, SOURCE)
    except ValueError:
        raise UsageError(f"A line of {pixels:.0f} pixels cannot be {length_mm:g} mm long; check the length.") from None


def calibration_on(loop: CineLoop, start: Point, end: Point, length_mm: float) -> Calibration:
    """Return the scale that a line on a frame of `loop` gives, and where in the frame it holds.

    Pixels are taken as square, unless the file says otherwise (`CineLoop.pixel_aspect`).

    In a file that names its regions it holds in the smallest two-dimensional image around the line or, for a line over
    a scale beside the images, in the largest; otherwise in the whole frame. An M-mode never gets millimetres.

    Parameters
    ----------
    loop : CineLoop
    start, end : (y, x)
        Ends of the line, original-frame pixels.
    length_mm : float

    Raises
    ------
    UsageError
        The line leaves the frame, is too short to be exact, or the length makes no sense.
    """
    points = (start, end)
    if any(not (-0.5 <= y <= loop.height - 0.5 and -0.5 <= x <= loop.width - 0.5) for y, x in points):
        raise UsageError("The line has to lie inside the image: draw it along the depth scale.")
    around = [r for r in loop.regions if r.spatial and all(r.covers(y, x) for y, x in points)]
    region = min(around, key=lambda r: r.area).box if around else loop.tissue_region
    return calibration_of_line(start, end, length_mm, region, loop.pixel_aspect)


def default_folder() -> Path:
    """Return where scales are remembered: M2DINO_CALIBRATIONS, else `calibrations` in the user's data folder."""
    if named := os.environ.get("M2DINO_CALIBRATIONS"):
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("m2dino") / "calibrations"


def remember(loop: CineLoop, calibration: Calibration, folder: Path | None = None) -> None:
    """Keep a person's scale for a loop, whatever its file is called later, and use it from now on.

    Raises
    ------
    StoreWriteError
        It cannot be written; what was remembered before still is.
    """
    content = {
        "schema": 1,
        "dy_mm": calibration.dy_mm,
        "dx_mm": calibration.dx_mm,
        "region": None if calibration.region is None else list(calibration.region),
    }
    file = _file(loop, folder)
    try:
        write_whole(file, json.dumps(content, indent=1).encode())
    except OSError as error:
        raise StoreWriteError(f"{file} cannot be written ({error.strerror}); the scale is not remembered.") from None
    _use(loop, calibration)


def recall(loop: CineLoop, folder: Path | None = None) -> bool:
    """Use the scale that a person gave this loop before; return whether there is one.

    A file that is damaged counts as none: the loop keeps the scale of its own file.
    """
    try:
        content = json.loads(_file(loop, folder).read_text(encoding="utf-8"))
        box = content["region"]
        region = None if box is None else tuple(int(edge) for edge in box)
        if region is not None and not _fits(loop, region):
            return False
        calibration = Calibration(
            float(content["dy_mm"]),
            float(content["dx_mm"]),
            None if region is None else (region[0], region[1], region[2], region[3]),
            SOURCE,
        )
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return False
    _use(loop, calibration)
    return True


def forget(loop: CineLoop, folder: Path | None = None) -> None:
    """Remove a person's scale of a loop: it has the scale of its own file again, if that has one.

    Raises
    ------
    StoreWriteError
        The disk refuses.
    """
    file = _file(loop, folder)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StoreWriteError(f"{file} cannot be removed ({error.strerror}).") from None
    loop.use_own_scale()


def _file(loop: CineLoop, folder: Path | None) -> Path:
    return (folder or default_folder()) / f"{loop.identity}.json"


def _use(loop: CineLoop, calibration: Calibration) -> None:
    loop.set_scale(calibration, SOURCE)


def _fits(loop: CineLoop, region: tuple[int, ...]) -> bool:
    y_min, x_min, y_max, x_max = region
    return 0 <= y_min < y_max <= loop.height and 0 <= x_min < x_max <= loop.width
