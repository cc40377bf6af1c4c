"""What a scanner's screen adds to a picture: calipers, rulers, text, and black outside the field of view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from m2dino.data.scanner import Pixels

_COLOURS = ((255, 255, 255), (255, 255, 0), (0, 255, 0), (0, 255, 255), (255, 160, 0))
_WORDS = ("{:.1f} cm", "{:.0f} dB", "MI {:.1f}", "D1 {:.1f} mm", "G {:.0f}%", "FR {:.0f}Hz", "+ Dist {:.2f}")


@cache
def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def screen_marks(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Draw calipers with a dotted line, a ruler, or text of no meaning, in white or in a colour.

    Places are drawn without a look at any label: training must learn that marks tell nothing.
    """
    coloured = pixels.ndim == 3 or rng.random() < 0.4
    if coloured and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    ink: tuple[int, ...] | int = _COLOURS[rng.integers(len(_COLOURS))] if coloured else int(rng.integers(180, 256))
    size = picture.height
    kinds = rng.random(3) < (0.5, 0.3, 0.5)
    if kinds[0]:
        _calipers(draw, rng, size, ink)
    if kinds[1]:
        _ruler(draw, rng, size, ink)
    if kinds[2] or not kinds.any():
        word = _WORDS[rng.integers(len(_WORDS))].format(rng.uniform(0, 100))
        at = (rng.choice([0.03, 0.7]) * size, rng.choice([0.03, 0.12, 0.85, 0.92]) * size)
        draw.text(at, word, fill=ink, font=_font(max(6, round(size * rng.uniform(0.03, 0.05)))))
    return np.asarray(picture)


def _calipers(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: int, ink: tuple[int, ...] | int) -> None:
    ends = rng.uniform(0.1, 0.9, (2, 2)) * size
    arm = size * rng.uniform(0.01, 0.025)
    for x, y in ends:
        draw.line((x - arm, y, x + arm, y), fill=ink)
        draw.line((x, y - arm, x, y + arm), fill=ink)
    if rng.random() < 0.7:
        dots = max(2, int(math.dist(*ends) / (4 + 4 * rng.random())))
        draw.point([(x, y) for x, y in np.linspace(ends[0], ends[1], dots).tolist()], fill=ink)


def _ruler(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: int, ink: tuple[int, ...] | int) -> None:
    side, step = (0 if rng.random() < 0.5 else size - 1), size / rng.integers(8, 25)
    for tick in range(int(size / step) + 1):
        length = (5 if tick % 5 == 0 else 2) * size / 256
        draw.line((side - length, tick * step, side + length, tick * step), fill=ink)


def field_of_view(
    pixels: Pixels,
    rng: np.random.Generator,
    points: NDArray[np.float64] | None = None,
    masks: Sequence[NDArray[np.uint8]] = (),
) -> Pixels:
    """Black out what lies outside the fan of a curved or a sector probe.

    Nothing is changed where the fan would cut off one of the points, (N, 2) as (y, x) in [0, 1], or part of a mask
    (S, S).
    """
    apex = np.array([-rng.uniform(0.02, 0.6), rng.uniform(0.42, 0.58)])
    near = -apex[0] + rng.uniform(0, 0.06)
    far = 1 - apex[0] + rng.uniform(-0.08, 0.1)
    # Wide enough to reach the sides at some depth between a third and the bottom.
    slope = 0.5 / (rng.uniform(0.35, 1) - apex[0])
    if points is not None and not _in_fan(points[:, 0], points[:, 1], apex, near, far, slope).all():
        return pixels
    centres = (np.arange(pixels.shape[0], dtype=np.float32) + 0.5) / pixels.shape[0]
    inside = _in_fan(centres[:, None], centres[None, :], apex.astype(np.float32), near, far, slope)
    if any(mask[~inside].any() for mask in masks):
        return pixels
    return np.asarray(pixels * (inside if pixels.ndim == 2 else inside[..., None]))


def _in_fan(
    y: NDArray[np.floating],
    x: NDArray[np.floating],
    apex: NDArray[np.floating],
    near: float,
    far: float,
    slope: float,
) -> NDArray[np.bool_]:
    down, across = y - apex[0], x - apex[1]
    distance = down * down + across * across
    return np.asarray((distance >= near * near) & (distance <= far * far) & (np.abs(across) <= slope * down))
