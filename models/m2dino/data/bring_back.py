"""Pictures that have gone from a store are taken from the loops again, wherever those lie now.

A store keeps the picture of every labelled frame, so a loop that was moved is no obstacle to training. But a folder
that was copied without its pictures, or damaged, has lost them; the loops still hold the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m2dino.cine.searching import find_loops
from m2dino.data.store import Store
from m2dino.errors import LoopError
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop


@dataclass(frozen=True)
class BroughtBack:
    """What became of the search.

    Attributes
    ----------
    pictures, loops : int
        Pictures written, and the loops that they came from.
    missing : dict of str to list of int
        Frames whose pictures are still missing, by identity of their loop.
    """

    pictures: int
    loops: int
    missing: dict[str, list[int]]

    def text(self) -> str:
        """Say it for a person."""
        if not self.pictures and not self.missing:
            return "No picture is missing from the dataset folder: nothing was looked for."
        said = f"{_frames(self.pictures)} of {_loops(self.loops)} brought back into the dataset folder."
        if self.missing:
            lost = sum(map(len, self.missing.values()))
            said += f" {_frames(lost)} of {_loops(len(self.missing))} still missing: no such loop lies there."
        return said


def bring_back(
    store: Store,
    folders: Sequence[Path],
    *,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> BroughtBack:
    """Look for the loops of all missing or damaged pictures of a store, and write the pictures anew.

    Parameters
    ----------
    store : Store
    folders : sequence of Path
        Searched with all below them; a loop is known by its identity, never by its name.
    on_progress, should_stop : callables

    Raises
    ------
    UsageError
        A folder does not exist.
    StoreError, StoreWriteError
    """
    missing = store.missing_pictures(damaged=True)
    pictures, loops = 0, 0
    if not missing:
        return BroughtBack(0, 0, {})
    found = find_loops(folders, missing, on_progress=on_progress, should_stop=should_stop)
    still: dict[str, list[int]] = {}
    for loop_id, frames in missing.items():
        loop = found.get(loop_id)
        if loop is None:
            still[loop_id] = frames
            continue
        loops += 1
        for frame in frames:
            try:
                store.put_picture_back(loop_id, frame, loop[frame])
                pictures += 1
            except (LoopError, IndexError):  # the frame is damaged in the file
                still.setdefault(loop_id, []).append(frame)
        loop.close()
    return BroughtBack(pictures, loops, still)


def _frames(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"


def _loops(count: int) -> str:
    return f"{count} loop{'' if count == 1 else 's'}"
