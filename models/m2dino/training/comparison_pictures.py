"""A held-out frame three times beside one another: what the model said before, what it says now, and the label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from m2dino.cine.loop import Frame
from m2dino.colours import colour
from m2dino.tasks import Task
from m2dino.training.comparison import HeldOutFrame
from m2dino.values import Box, Keypoints, Mask, Value

PANEL = 320
"""Side of a panel, px."""
GAP = 6
LEAST_SHARE = 0.45
"""How much of the frame's longer side a panel shows at the least: a structure without its surroundings tells little."""
MARGIN = 0.6
"""Room around what is drawn, of its own size."""
_FILL = 0.28
Window = tuple[int, int, int]
"""(y, x, side): the square of the frame that is shown; it may reach beyond the frame, where it is black."""


def triptych(one: HeldOutFrame, frame: Frame, task: Task) -> Image.Image:
    """Draw a frame: before, after, label; (PANEL, 3 PANEL + 2 GAP) px, RGB. A panel without an answer shows none."""
    values = (one.before, one.after, one.truth)
    window = _window(frame.shape[:2], [value for value in values if value is not None])
    whole = Image.new("RGB", (3 * PANEL + 2 * GAP, PANEL))
    for number, value in enumerate(values):
        whole.paste(_panel(frame, value, window, task), (number * (PANEL + GAP), 0))
    return whole


def _panel(frame: Frame, value: Value | None, window: Window, task: Task) -> Image.Image:
    picture = np.asarray(_cut(frame, window, Image.Resampling.BILINEAR)).astype(np.float32)
    if isinstance(value, Mask):
        labels = np.asarray(_cut(value.labels, window, Image.Resampling.NEAREST))
        for index in range(1, task.num_classes):
            inside = labels == index
            ink = np.array(_rgb(index), dtype=np.float32)
            picture[inside] = (1 - _FILL) * picture[inside] + _FILL * ink
            picture[inside & ~_eroded(inside)] = ink
    drawn = Image.fromarray(picture.astype(np.uint8))
    if isinstance(value, Box):
        y_min, x_min, y_max, x_max = value.as_tuple()
        # The end is exclusive, and pixel (0, 0) begins at -0.5.
        corners = [_place(y_min - 0.5, x_min - 0.5, window), _place(y_max - 0.5, x_max - 0.5, window)]
        ImageDraw.Draw(drawn).rectangle([corners[0], corners[1]], outline=_rgb(1), width=2)
    elif isinstance(value, Keypoints):
        pen = ImageDraw.Draw(drawn)
        for number, (y, x) in enumerate(value.points, start=1):
            if not np.isnan(y):
                centre = _place(y, x, window)
                pen.circle(centre, 5, outline=_rgb(number), width=2)
    return drawn


def _window(size: tuple[int, ...], values: list[Value]) -> Window:
    height, width = size[:2]
    least = LEAST_SHARE * max(height, width)
    spans = [span for span in map(_span, values) if span is not None]
    if not spans:
        side = max(height, width)
        return (height - side) // 2, (width - side) // 2, side
    top, left, bottom, right = (
        min(span[0] for span in spans),
        min(span[1] for span in spans),
        max(span[2] for span in spans),
        max(span[3] for span in spans),
    )
    side = round(min(max((1 + MARGIN) * max(bottom - top, right - left), least), max(height, width)))
    y, x = round((top + bottom - side) / 2), round((left + right - side) / 2)
    # Moved inside the frame where it fits.
    y = min(max(y, 0), height - side) if side <= height else (height - side) // 2
    x = min(max(x, 0), width - side) if side <= width else (width - side) // 2
    return y, x, side


def _span(value: Value) -> tuple[float, float, float, float] | None:
    if isinstance(value, Mask):
        rows, columns = np.flatnonzero(value.labels.any(axis=1)), np.flatnonzero(value.labels.any(axis=0))
        return (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if len(rows) else None
    if isinstance(value, Box):
        return value.as_tuple()
    if isinstance(value, Keypoints):
        seen = value.points[~np.isnan(value.points[:, 0])]
        return (*seen.min(axis=0), *seen.max(axis=0)) if len(seen) else None
    return None


def _cut(array: NDArray[np.uint8], window: Window, how: Image.Resampling) -> Image.Image:
    y, x, side = window
    return Image.fromarray(array).crop((x, y, x + side, y + side)).resize((PANEL, PANEL), how)


def _place(y: float, x: float, window: Window) -> tuple[float, float]:
    scale = PANEL / window[2]
    return (x + 0.5 - window[1]) * scale, (y + 0.5 - window[0]) * scale


def _eroded(inside: NDArray[np.bool_], by: int = 2) -> NDArray[np.bool_]:
    padded = np.pad(inside, by)
    height, width = inside.shape
    kept = inside.copy()
    for dy, dx in ((-by, 0), (by, 0), (0, -by), (0, by)):
        kept &= padded[by + dy : by + dy + height, by + dx : by + dx + width]
    return kept


def _rgb(index: int) -> tuple[int, int, int]:
    text = colour(index)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
