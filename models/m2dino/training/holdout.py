"""Which corrected frames are held out: decided once, and for ever.

Frames of one loop look alike, and so do loops of one subject. Loops that share a subject are therefore one *unit*, and
whole units are held out as soon as there are three; with fewer, a stretch at the end of each is. A frame or unit keeps
its side for good, and a frame that is added to a divided loop goes to the side of the nearest one already placed:
otherwise a frame that once trained a model could later vouch for it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

from m2dino.data.joining import Joined

Key = tuple[str, int]
SHARE = 0.2
UNITS_NEEDED = 3
LARGEST = 0.4
"""Of all frames: a unit that holds more of them than this is held out only where all others do, too."""


def units_of(groups: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the unit of each loop: loops that share a subject, over however many others, are of one.

    Parameters
    ----------
    groups : iterable of (str, str)
        Loop id and subject, as often as they occur together; the subject is empty, or the loop's own id, where none is
        known.
    """
    joined, loops = Joined(), set()
    for loop_id, subject in groups:
        loops.add(loop_id)
        if subject and subject != loop_id:
            joined.join(f"loop {loop_id}", f"subject {subject}")
    return {loop_id: joined.root(f"loop {loop_id}") for loop_id in loops}


def assign(frames: Iterable[Key], fixed: Mapping[Key, bool], units: Mapping[str, str] | None = None) -> dict[Key, bool]:
    """Return for every (loop id, frame) whether it is held out, honouring what is fixed.

    The answer does not depend on the order of the frames, nor on the machine.

    Parameters
    ----------
    frames : iterable of (str, int)
        All frames that have a label.
    fixed : mapping
        Earlier decisions; may name frames that have no label any more.
    units : mapping of str to str, optional
        The unit of each loop; a loop that is not named is one of its own.
    """
    units = units or {}
    by_unit: dict[str, list[Key]] = {}
    for key in sorted(set(frames)):
        by_unit.setdefault(units.get(key[0], key[0]), []).append(key)
    placed: dict[str, dict[Key, bool]] = {}
    for key, held in sorted(fixed.items()):
        placed.setdefault(units.get(key[0], key[0]), {})[key] = held
    result = {key: fixed[key] for own in by_unit.values() for key in own if key in fixed}
    for name in placed.keys() & by_unit.keys():
        for key in by_unit[name]:
            result.setdefault(key, _side_of_nearest(key, placed[name]))
    _place_new(by_unit, placed, result)
    new = [key for key in result if key not in fixed]
    if not any(result.values()) and new and len(result) > 1:
        # All that vouched has lost its label: the newest frames, far from those that trained, take its place.
        trained = [key for key, held in fixed.items() if not held]
        new.sort(key=lambda key: (-_distance(key, trained), key))
        result.update(dict.fromkeys(new[: math.ceil(SHARE * len(new))], True))
    return result


def _place_new(by_unit: Mapping[str, list[Key]], placed: Mapping[str, object], result: dict[Key, bool]) -> None:
    """Place the units of which nothing was decided."""
    new = [name for name in by_unit if name not in placed]
    if len(by_unit.keys() | placed.keys()) < UNITS_NEEDED:
        for name in new:
            own = by_unit[name]
            count = math.ceil(SHARE * len(own)) if len(own) > 1 else 0
            result.update({key: i >= len(own) - count for i, key in enumerate(own)})
        return
    frames = sum(map(len, by_unit.values()))
    whole = sum(name in placed and all(result[key] for key in own) for name, own in by_unit.items())
    wanted = max(1, round(SHARE * len(by_unit)))
    new.sort(key=lambda name: (len(by_unit[name]) > LARGEST * frames, _order(name)))
    for name in new:
        held = whole < wanted
        whole += held
        result.update(dict.fromkeys(by_unit[name], held))


def _side_of_nearest(key: Key, placed: Mapping[Key, bool]) -> bool:
    """Return the side of the nearest frame of the same loop; of another loop of the unit, the side of all or training.

    A subject of whom a frame has trained cannot vouch with another loop.
    """
    own = {frame: held for (loop_id, frame), held in placed.items() if loop_id == key[0]}
    if not own:
        return all(placed.values())
    return own[min(own, key=lambda other: (abs(other - key[1]), other))]


def _distance(key: Key, others: Iterable[Key]) -> float:
    return min((abs(frame - key[1]) for loop_id, frame in others if loop_id == key[0]), default=math.inf)


def _order(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
