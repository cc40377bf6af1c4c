"""The first loop fills the canvas."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer

from napari_m2dino.desk import Desk
from napari_m2dino.loop_layer import loop_of
from napari_m2dino.napari_compat import camera

SETTLED_MS = 150
"""Time in which Qt lays the window out anew, once napari has shown its controls and sliders for a first layer."""


class FirstFit:
    """Fits the view to the first loop once the window has its layout.

    napari fits it as the layer is added, and only then makes its own controls wider and the canvas smaller, so that the
    image is cut off. A view that a person has moved since, or that showed layers of other kinds before, stays.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._empty = desk.loop is None
        self._seen: tuple[float, ...] = ()
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(SETTLED_MS)
        self._soon.timeout.connect(self._fit)
        desk.loop_changed.connect(self._loop_changed)

    def close(self) -> None:
        """Leave the view as it is from now on."""
        self._soon.stop()

    def _loop_changed(self) -> None:
        was_empty, self._empty = self._empty, self.desk.loop is None
        if was_empty and not self._empty and all(loop_of(layer) for layer in self.desk.viewer.layers):
            self._seen = self._view()
            self._soon.start()

    def _fit(self) -> None:
        if self.desk.loop is not None and self._view() == self._seen:
            self.desk.viewer.reset_view()

    def _view(self) -> tuple[float, ...]:
        seen: Any = camera(self.desk.viewer)
        return (*map(float, seen.center), float(seen.zoom))
