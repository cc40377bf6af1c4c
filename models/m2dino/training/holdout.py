"""Which corrected frames are held out: decided once, and for ever.

Frames of one loop look alike, so whole loops are held out as soon as there are three; with fewer, a stretch at the end
of each loop is. A frame or loop keeps its side for good, and a frame that is added to a divided loop goes to the side
of the nearest one already placed: otherwise a frame that once trained a model could later vouch for it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

Key = tuple[str, int]
SHARE = 0.2
LOOPS_NEEDED = 3


def assign(frames: Iterable[Key], fixed: Mapping[Key, bool]) -> dict[Key, bool]:
    """Return for every (loop id, frame) whether it is held out, honouring what is fixed.

    Parameters
    ----------
    frames : iterable of (str, int)
        All frames that have a label.
    fixed : mapping
        Earlier decisions; may name frames that have no label any more.
    """
    by_loop: dict[str, list[int]] = {}
    for loop_id, frame in sorted(set(frames)):
        by_loop.setdefault(loop_id, []).append(frame)
    placed: dict[str, dict[int, bool]] = {}
    for (loop_id, frame), held in fixed.items():
        placed.setdefault(loop_id, {})[frame] = held
    new_loops = sorted((loop for loop in by_loop if loop not in placed), key=_order)
    whole = {loop for loop, sides in placed.items() if all(sides.values())}
    total = len(set(by_loop) | set(placed))
    result: dict[Key, bool] = {}
    for loop in new_loops:
        if total >= LOOPS_NEEDED:
            held = len(whole) < max(1, round(SHARE * total))
            if held:
                whole.add(loop)
            placed[loop] = dict.fromkeys(by_loop[loop], held)
        else:
            count = math.ceil(SHARE * len(by_loop[loop])) if len(by_loop[loop]) > 1 else 0
            placed[loop] = {f: i >= len(by_loop[loop]) - count for i, f in enumerate(by_loop[loop])}
    for loop, own in by_loop.items():
        for frame in own:
            sides = placed[loop]
            nearest = min(sides, key=lambda other: (abs(other - frame), other))
            result[loop, frame] = sides[nearest]
    return result


def _order(loop_id: str) -> str:
    return hashlib.blake2b(loop_id.encode(), digest_size=8).hexdigest()
