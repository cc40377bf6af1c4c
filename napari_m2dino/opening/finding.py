"""What a path holds, and what each loop in it is: everything that is told before a layer exists. No Qt, no napari."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from m2dino.cine.frame_axis import FrameAxis
from m2dino.cine.loop import CineLoop
from m2dino.cine.opening import loop_paths, open_found
from m2dino.errors import AmbiguousLoopError, LoopError, M2DinoError, NoPixelDataError
from numpy.typing import NDArray
from PIL import Image, ImageOps

from napari_m2dino.errors import explain

THUMBNAIL = (112, 84)
"""Most width and height of a thumbnail, in pixels."""

Picture = NDArray[np.uint8]
"""(h, w, 3) uint8 RGB."""

Choices = dict[str, tuple[int, int, int]]
"""What the frame axis may be, each with the (frames, height, width) that it would give."""


@dataclass
class Survey:
    """What some paths hold; no loop is open yet.

    Attributes
    ----------
    named : list of Path
        Paths that lead to one loop: whoever named them wants them.
    several : dict of Path to list of Path
        Folders and tables of contents with more than one, and their loops: a person chooses among them.
    problems : list of str
        A sentence for each path that leads to none.
    """

    named: list[Path] = field(default_factory=list)
    several: dict[Path, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Look:
    """What was found of one loop: it is open, or its frame axis is to be chosen, or it cannot be opened.

    Attributes
    ----------
    path : Path
    loop : CineLoop or None
    choices : dict, optional
        Where the frame axis is to be chosen: see `m2dino.errors.AmbiguousLoopError`.
    problem : str
        Why it cannot be opened.
    no_images : bool
        It is a DICOM file without images (a report, say), which a person never meant to see.
    """

    path: Path
    loop: CineLoop | None = None
    choices: Choices | None = None
    problem: str = ""
    no_images: bool = False


def survey(paths: Iterable[Path]) -> Survey:
    """Find out what paths hold, each once, in order."""
    found = Survey()
    for path in dict.fromkeys(paths):
        try:
            inside = loop_paths(path)
        except M2DinoError as error:
            found.problems.append(str(error))
            continue
        if len(inside) == 1:
            found.named += inside
        else:
            found.several[path] = inside
    return found


def look(path: Path, frame_axis: FrameAxis | None = None) -> Look:
    """Open a loop as far as its header, or say why it cannot be."""
    try:
        return Look(path, open_found(path, frame_axis))
    except AmbiguousLoopError as error:
        return Look(path, choices=error.choices)
    except NoPixelDataError as error:
        return Look(path, problem=str(error), no_images=True)
    except Exception as error:  # noqa: BLE001 - one file that breaks a decoder does not keep the others from opening
        return Look(path, problem=explain(error, f"opening {path.name}"))


def open_named(path: Path, tell: Callable[[str], None]) -> list[CineLoop]:
    """Open every loop of a path without asking, telling of each that cannot be opened.

    Raises
    ------
    AmbiguousLoopError
        A file does not say which axis counts its frames: whoever called has to choose one.
    """
    found = survey([path])
    looks = [look(inside) for inside in [*found.named, *found.several.get(path, [])]]
    for one in looks:
        if one.choices is not None:
            open_found(one.path)
    loops = [one.loop for one in looks if one.loop is not None]
    for problem in [*found.problems, *worth_telling(looks)]:
        tell(problem)
    return loops


def worth_telling(looks: Sequence[Look]) -> list[str]:
    """Return why loops cannot be opened; DICOM files without images are no news beside others that have some."""
    telling = [one.problem for one in looks if one.problem and not one.no_images]
    if telling or any(not one.problem for one in looks):
        return telling
    return [one.problem for one in looks if one.problem][:1]


def facts(loop: CineLoop) -> str:
    """Return frames, size and frame time of a loop in one line."""
    parts = ["1 frame" if len(loop) == 1 else f"{len(loop)} frames", f"{loop.width} × {loop.height}"]
    if loop.frame_time_s:
        parts.append(f"{loop.frame_time_s * 1000:.0f} ms")
    return " · ".join(parts)


def thumbnail(loop: CineLoop) -> Picture | None:
    """Return the middle frame, made to fit `THUMBNAIL`, (h, w, 3); None where it cannot be decoded.

    The loop keeps neither the frame nor its file open: hundreds may be looked at for one that is chosen.
    """
    with contextlib.suppress(LoopError), contextlib.closing(loop):
        return np.asarray(ImageOps.contain(Image.fromarray(loop[len(loop) // 2]), THUMBNAIL, Image.Resampling.BOX))
    return None


def by_choices(looks: Sequence[Look]) -> list[tuple[Choices, list[Path]]]:
    """Return the paths whose frame axis is to be chosen, those of one shape together: one answer serves them."""
    groups: list[tuple[Choices, list[Path]]] = []
    for one in looks:
        if one.choices is None:
            continue
        for choices, paths in groups:
            if choices == one.choices:
                paths.append(one.path)
                break
        else:
            groups.append((one.choices, [one.path]))
    return groups


def in_words(problems: Sequence[str]) -> str:
    """Return one message for any number of problems: the first sentence, and how many more there are."""
    if len(problems) < 2:
        return "".join(problems)
    rest = len(problems) - 1
    return f"{problems[0]} {rest} more {'file' if rest == 1 else 'files'} could not be opened."
