"""Augmentation of ultrasound frames: one draw for a picture and all its labels.

All geometry is one affine map and one resampling (`warp`); then come effects of the scanner (`scanner`) and of its
screen (`screen`), which move nothing. A draw depends on its seed alone, whatever process makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from m2dino.data.scanner import Pixels, jpeg, scanner_effects, tint
from m2dino.data.screen import field_of_view, screen_marks
from m2dino.data.targets import Placed, PlacedMask, PlacedPoints, freedom_of, to_keep
from m2dino.data.warp import IDENTITY, Warp, draw_warp
from m2dino.tasks import Task


@dataclass(frozen=True)
class Augmentation:
    """How strongly to augment.

    Attributes
    ----------
    geometry : float
        Factor of zoom, shift, rotation and stretch; 0 leaves everything in its place.
    appearance : float
        Factor of the size and the frequency of all other effects; 0 leaves every pixel as it is.
    """

    geometry: float = 1.0
    appearance: float = 1.0


def augment(
    pixels: Pixels,
    targets: Sequence[Placed],
    tasks: Sequence[Task],
    size: int,
    seed: int,
    how: Augmentation,
) -> tuple[Pixels, list[Placed]]:
    """Return a picture and all its labels after one random draw.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (M, M) or (M, M, 3)
        A letterboxed picture, grey or RGB. Somewhat more than `size` keeps it sharp where it is enlarged.
    targets : sequence of Placed
        Its labels, placed in the same square.
    tasks : sequence of Task
        The task of each label. What one of them forbids is not done.
    size : int
        Side of the result, px.
    seed : int
    how : Augmentation

    Returns
    -------
    pixels : ndarray of uint8, shape (size, size) or (size, size, 3)
    targets : list of Placed
        In the order given.
    """
    rng = np.random.Generator(np.random.SFC64(seed))
    warp = draw_warp(rng, how.geometry, freedom_of(tasks, targets), to_keep(targets))
    moved = [target.moved(warp, size) for target in targets]
    moved = [
        _named(one, task, warp) if isinstance(one, PlacedPoints) else one
        for one, task in zip(moved, tasks, strict=True)
    ]
    pixels = np.asarray(warp.picture(Image.fromarray(pixels), size, Image.Resampling.BILINEAR))
    return _appearance(pixels, moved, rng, how.appearance), moved


def _named(points: PlacedPoints, task: Task, warp: Warp) -> PlacedPoints:
    """Give points the names that they have in the picture after the map."""
    if warp.mirrors:
        points = points.renamed(task.mirrored_order)
    return points if warp is IDENTITY else points.named_by_place(task)


def _appearance(pixels: Pixels, targets: Sequence[Placed], rng: np.random.Generator, strength: float) -> Pixels:
    if strength <= 0:
        return pixels
    fan, marks, pressed, coloured = rng.random(4) < np.array([0.12, 0.2, 0.2, 0.06]) * min(strength, 2)
    if fan:
        masks = [np.asarray(target.picture) for target in targets if isinstance(target, PlacedMask)]
        pixels = field_of_view(pixels, rng, to_keep(targets), masks)
    pixels = scanner_effects(pixels, rng, strength)
    if coloured and pixels.ndim == 2:
        pixels = tint(pixels, rng, strength)
    if marks:
        pixels = screen_marks(pixels, rng)
    return jpeg(pixels, rng) if pressed else pixels
