"""Which corrected frames are held out: decided once, and for ever.

Frames of one loop look alike, and so do loops of one subject. Loops that share a subject, or a picture, are therefore
one *unit*, and whole units are held out as soon as there are three; with fewer, a stretch at the end of each is. A unit
that is too large to be held out whole trains, and gives a stretch at its end where too little vouches else. A frame or
unit keeps its side for good, and a frame that is added to a divided loop goes to the side of the nearest one
already placed: otherwise a frame that once trained a model could later vouch for it. So could the same picture under
another name, of a loop that grew or was exported and came back: equal pictures have equal sides.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

from m2dino.data.joining import Joined
from m2dino.data.records import Key

SHARE = 0.2
UNITS_NEEDED = 3
LARGEST = 0.4
"""Of all frames: a unit with which more of them would be held out than this is not held out whole."""
LEAST = 0.1
"""Of all frames: where fewer are held out in whole units, the largest new ones give a stretch each."""


def units_of(groups: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the unit of each loop: loops that share a subject, over however many others, are of one.

    What else says that loops belong together, such as a picture that both have, may be given as a subject.

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


def assign(
    frames: Iterable[Key],
    fixed: Mapping[Key, bool],
    units: Mapping[str, str] | None = None,
    pictures: Mapping[Key, str] | None = None,
) -> dict[Key, bool]:
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
    pictures : mapping of (str, int) to str, optional
        What each frame shows; frames of equal pictures have equal sides, unless both are fixed.
    """
    frames, pictures = set(frames), pictures or {}
    one_of: dict[str | Key, Key] = {}
    # A picture is known by its frame that is held out, else by one that trains, else by the first.
    for key in sorted({*frames, *fixed}, key=lambda key: (-fixed.get(key, -1), key)):
        one_of.setdefault(pictures.get(key, key), key)
    known_by = {key: one_of[pictures.get(key, key)] for key in frames}
    # The copies are placed as well: a frame that is new beside them goes to the side of the nearest.
    placed = {key: fixed[one] for key, one in known_by.items() if one in fixed}
    sides = _divided(set(known_by.values()), {**placed, **fixed}, units or {})
    return {key: fixed.get(key, sides[known_by[key]]) for key in frames}


def _divided(frames: Iterable[Key], fixed: Mapping[Key, bool], units: Mapping[str, str]) -> dict[Key, bool]:
    """Do what `assign` does, for frames that all differ."""
    by_unit: dict[str, list[Key]] = {}
    for key in sorted(frames):
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
            result.update(_cut(by_unit[name]))
        return
    frames = sum(map(len, by_unit.values()))
    whole = sum(name in placed and all(result[key] for key in own) for name, own in by_unit.items())
    wanted = max(1, round(SHARE * len(by_unit)))
    for name in sorted(new, key=_order):
        own = by_unit[name]
        held = whole < wanted and sum(result.values()) + len(own) <= LARGEST * frames
        whole += held
        result.update(dict.fromkeys(own, held))
    # What was corrected last is most wanted in the next model: where it is too much to be held out, its end has to do.
    for name in sorted(new, key=lambda name: (-len(by_unit[name]), _order(name))):
        if sum(result.values()) < LEAST * frames:
            result.update(_cut(by_unit[name]))


def _cut(own: Sequence[Key]) -> dict[Key, bool]:
    """Hold out a stretch at the end of a unit, if it has more than one frame."""
    count = math.ceil(SHARE * len(own)) if len(own) > 1 else 0
    return {key: i >= len(own) - count for i, key in enumerate(own)}


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
