"""The de-identified copy of still images, volumes and arrays: the pictures alone, as PNG without any text."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from m2dino.cine.loop import CineLoop, Frame
from m2dino.deid.masking import TEXT_IN_BOX, masked
from m2dino.deid.options import Box
from m2dino.deid.whole import whole_file, whole_folder

_TEXT = "an image cannot say whether text is burnt into it: look at the copy, or give the box to keep"


def copy_images(loop: CineLoop, target: Path, box: Box | None) -> list[str]:
    """Write one PNG, or a folder of numbered ones where the loop has several; return warnings for people.

    Raises
    ------
    FrameDecodeError
        An image cannot be decoded; no copy is made.
    UsageError
        `target` exists or cannot be written.
    """
    if len(loop) == 1:
        with whole_file(target) as part:
            _save(part, loop[0], box)
    else:
        with whole_folder(target) as folder:
            digits = max(len(str(len(loop) - 1)), 3)
            for index, frame in enumerate(loop):
                _save(folder / f"{index:0{digits}d}.png", frame, box)
    warnings = [_TEXT if box is None else TEXT_IN_BOX]
    if loop.reader in ("volume", "array"):
        warnings.append("the copy is pictures of 8-bit grey levels or colours: values, scale and times are not in it")
    return warnings


def _save(path: Path, frame: Frame, box: Box | None) -> None:
    Image.fromarray(frame if box is None else masked(frame, [box])).save(path, format="PNG")
