"""One honest split into training and validation, over all tasks at once.

Tasks share images and subjects, so a split per task would train on what another task validates on. Here rows hang
together when they have the same subject or recording (`Row.group`), the same file, or files with the same bytes; what
hangs together never straddles. Which side a subject falls on depends on a hash of its name and the seed, so that
adding rows moves as little as possible.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence

from m2dino.data.joining import Joined
from m2dino.data.rows import Row
from m2dino.data.same_bytes import same_bytes

_OF_ROOT = "\0of root "
"""Between the path of an image and the number of its root; no path and no cell of a table holds such a character."""


def subjects(rows: Sequence[Row]) -> list[str]:
    """Return, for every row, the key of the subject that it hangs together with; equal keys must not straddle a split.

    An image that nothing tells the subject of is known by its path below its root: the same path in another root is
    another image. Only that such keys differ depends on the order of the roots, not where a split places them.

    Raises
    ------
    MissingFileError
        An image has gone since the rows were read.
    """
    joined = Joined()
    names = same_bytes(row.image for row in rows)
    roots = {root: index for index, root in enumerate(dict.fromkeys(row.root for row in rows))}
    groups = [_apart(row, roots[row.root]) for row in rows]
    for row, group in zip(rows, groups, strict=True):
        joined.join(f"group {group}", f"image {names[row.image]}")
    members: dict[str, str] = {}
    for group in groups:
        # The component is named by its smallest group, a name that does not depend on where the data lies.
        root = joined.root(f"group {group}")
        members[root] = min(members.get(root, group), group)
    return [members[joined.root(f"group {group}")] for group in groups]


def _apart(row: Row, root: int) -> str:
    """Return the group of a row of the root of this number; the first root's keep their names."""
    return f"{row.group}{_OF_ROOT}{root}" if root and row.known_by_path else row.group


def split(rows: Sequence[Row], val_fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return (training rows, validation rows), each in the order given.

    Every task of two or more subjects gets at least one for validation. Wherever the overlaps of tasks allow it, it
    also keeps one for training and validates on at most twice `val_fraction` of its subjects, and a task of a single
    subject is trained on.

    Parameters
    ----------
    rows : sequence of Row
    val_fraction : float
        Share of subjects to validate on, in (0, 1).
    seed : int
        Another seed gives another split.

    Raises
    ------
    MissingFileError
        An image has gone since the rows were read.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction must be between 0 and 1, not {val_fraction}")
    keys = subjects(rows)
    by_task: dict[str, set[str]] = defaultdict(set)
    tasks_with: dict[str, set[str]] = defaultdict(set)
    for row, key in zip(rows, keys, strict=True):
        by_task[row.task_id].add(key)
        tasks_with[key].add(row.task_id)
    # Sorted, for images of equal paths have equal places: which of them comes first must not depend on the rows' order.
    place = {key: _place(key, seed) for key in sorted(tasks_with)}
    val = {key for key, at in place.items() if at < val_fraction}

    splittable = sorted((task for task, own in by_task.items() if len(own) > 1), key=lambda t: (len(by_task[t]), t))
    for task in splittable:
        if not by_task[task] & val:

            def strips(key: str) -> bool:
                return any(not by_task[other] - val - {key} for other in tasks_with[key])

            val.add(min(by_task[task], key=lambda key: (strips(key), place[key])))
    for own in sorted(by_task.values(), key=lambda own: (len(own), min(own))):
        most = min(max(1, round(2 * val_fraction * len(own))), len(own) - 1)
        _give_back(own, most, val, place, lambda key: _spare(key, tasks_with, by_task, val))
    if val and len(val) == len(place):
        val.discard(max(place, key=lambda key: place[key]))
    training = [row for row, key in zip(rows, keys, strict=True) if key not in val]
    return training, [row for row, key in zip(rows, keys, strict=True) if key in val]


def _give_back(own: set[str], most: int, val: set[str], place: dict[str, float], spare: Callable[[str], bool]) -> None:
    """Move subjects of a task to training until it validates on at most `most`, without robbing another task."""
    for key in sorted(own & val, key=lambda key: -place[key]):
        if len(own & val) <= most:
            return
        if spare(key):
            val.discard(key)


def _spare(key: str, tasks_with: dict[str, set[str]], by_task: dict[str, set[str]], val: set[str]) -> bool:
    """Whether every task of the subject that could be split still validates on something without it."""
    return all(len(by_task[task]) < 2 or by_task[task] & val - {key} for task in tasks_with[key])


def _place(key: str, seed: int) -> float:
    """Return a number in [0, 1) that only the subject's name and the seed decide.

    Not the number of its root: with another folder in front, what a model has trained on would be measured on.
    """
    digest = hashlib.blake2b(f"{seed}\0{key.partition(_OF_ROOT)[0]}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
