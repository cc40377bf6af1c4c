"""Loops that are not at their place, looked for below a folder that a person names. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from m2dino.cine.searching import find_loops
from m2dino.data.bring_back import BroughtBack, bring_back
from m2dino.data.store import Store
from m2dino.progress import OnProgress, ShouldStop

from napari_m2dino.errand import Work

WHERE = "Where are the loops now?"
"""Title of the folder chooser, and with an ellipsis the button that opens it."""


def one_loop(folder: Path, identity: str) -> Work:
    """Return work that looks for one loop and returns its path, or None where it is not there."""

    def work(progress: OnProgress, should_stop: ShouldStop, _hand: Callable[[Any], None]) -> Path | None:
        found = find_loops([folder], [identity], on_progress=progress, should_stop=should_stop).get(identity)
        if found is None:
            return None
        with closing(found):
            return found.path

    return work


def lost_pictures(dataset: Path, folder: Path) -> Work:
    """Return work that brings pictures back that a dataset folder has lost; see `m2dino.data.bring_back`."""

    def work(progress: OnProgress, should_stop: ShouldStop, _hand: Callable[[Any], None]) -> BroughtBack:
        with Store.open(dataset) as store:
            return bring_back(store, [folder], on_progress=progress, should_stop=should_stop)

    return work
