"""Loops become layers one by one, with room between two for whatever a person does meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m2dino.cine.loop import CineLoop
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.loop_layer import add_loop

if TYPE_CHECKING:
    from napari.viewer import Viewer

BREATH_MS = 10
"""Between two layers, ms: napari takes a tenth of a second for each, and clicks, keys and drawing come first."""


class Showing(QObject):
    """Adds layers, one a turn of the event loop; the first is looked at, and the selection is then left alone.

    Attributes
    ----------
    count, total : int
        How many layers are added, of how many.

    Signals
    -------
    adding : bool
        A layer that is not to be looked at is about to be added, or is.
    shown : (layers added, layers wanted)
    done : no arguments
        All are added, or `stop` was called.
    """

    adding = Signal(bool)
    shown = Signal(int, int)
    done = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._waiting: deque[CineLoop] = deque()
        self.count = self.total = 0
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(BREATH_MS)
        self._soon.timeout.connect(self._one)

    def show(self, loops: Sequence[CineLoop]) -> None:
        """Add a layer for each loop, the first at once."""
        self._waiting.extend(loops)
        self.count, self.total = 0, len(loops)
        self._one()

    def stop(self) -> None:
        """Add no more; what is added stays. Nothing is emitted."""
        self._waiting.clear()
        self._soon.stop()

    def reset(self) -> None:
        """Forget how many were added and wanted."""
        self.count = self.total = 0

    def _one(self) -> None:
        if not self._waiting:
            self.done.emit()
            return
        loop = self._waiting.popleft()
        if self.count == 0:
            add_loop(self._viewer, loop)
        else:
            self._add_aside(loop)
        self.count += 1
        self.shown.emit(self.count, self.total)
        self._soon.start()

    def _add_aside(self, loop: CineLoop) -> None:
        """Add a layer hidden, for it would lie over the first; hidden, it also costs napari less."""
        selection = self._viewer.layers.selection
        selected = set(selection)
        self.adding.emit(True)
        add_loop(self._viewer, loop, visible=False)
        # napari selects what is added, which would take away what a person is at.
        selection.symmetric_difference_update(selected ^ set(selection))
        self.adding.emit(False)
