"""How large a frame may claim to be: checked before any memory is taken for it."""

from __future__ import annotations

from pathlib import Path

from m2dino.errors import UnsupportedLoopError

# 8192 × 8192: four times the largest ultrasound frame known, and 200 MB as RGB.
MAX_FRAME_PIXELS = 2**26


def check_frame_size(path: Path, height: int, width: int) -> None:
    """Refuse a frame without pixels, or one so large that the header must be damaged.

    Raises
    ------
    UnsupportedLoopError
        The size is not that of an ultrasound frame.
    """
    if height < 1 or width < 1:
        raise UnsupportedLoopError(f"{path} claims frames of {width} × {height} pixels: its header is damaged.")
    if height * width > MAX_FRAME_PIXELS:
        raise UnsupportedLoopError(
            f"{path} claims frames of {width} × {height} pixels, more than any ultrasound frame has: "
            "its header is damaged, or it is another kind of image."
        )
