"""Finding loops that were moved: by what they hold, never by what they are called."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from m2dino.cine.loop import CineLoop
from m2dino.cine.natural import natural_key
from m2dino.cine.opening import loop_paths, open_found
from m2dino.errors import AmbiguousLoopError, M2DinoError, UsageError
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop


def find_loops(
    folders: Sequence[Path],
    wanted: Collection[str],
    *,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> dict[str, CineLoop]:
    """Look through folders and all below them for loops of these identities; files that cannot be read are passed over.

    What a folder holds as loops is tried first, then every file by itself: a volume that lies beside loops, a picture
    of a folder of pictures that was labelled one by one. The search ends when all are found.

    Parameters
    ----------
    folders : sequence of Path
    wanted : collection of str
        `CineLoop.identity` of each loop.
    on_progress : callable
        Called with (found, wanted, text) before each folder; the text names none, for its name may name a patient.
    should_stop : callable

    Returns
    -------
    dict of str to CineLoop
        Those found, by identity, open.

    Raises
    ------
    UsageError
        One of the folders does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder to look for loops in.")
    missing, found = set(wanted), dict[str, CineLoop]()
    for by_file in (False, True):
        places = (place for folder in folders for place in _below(folder))
        for tried, place in enumerate(places, start=1):
            if not missing or should_stop():
                return found
            on_progress(len(found), len(wanted), f"looking for loops, folder {tried}")
            for path in _files(place) if by_file else _loops(place):
                if not missing or should_stop():
                    return found
                for loop in _opened(path):
                    if loop.identity in missing:
                        missing.remove(loop.identity)
                        found[loop.identity] = loop
                    else:
                        loop.close()
    return found


def _below(folder: Path) -> Iterator[Path]:
    for place, inside, _ in os.walk(folder):
        shown = [name for name in inside if not name.startswith(".")]
        inside[:] = sorted(shown, key=lambda name: natural_key(Path(name)))
        yield Path(place)


def _loops(place: Path) -> list[Path]:
    with contextlib.suppress(M2DinoError, OSError):
        return loop_paths(place)
    return []


def _files(place: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(file for file in place.iterdir() if file.is_file() and not file.name.startswith("."))
    return []


def _opened(path: Path) -> Iterator[CineLoop]:
    """Yield the loop of a path; where the file does not say which axis counts its frames, one for each that may."""
    try:
        yield open_found(path)
    except AmbiguousLoopError as error:
        for axis in error.choices:
            with contextlib.suppress(M2DinoError, OSError):
                yield open_found(path, axis)
    except (M2DinoError, OSError):
        return
