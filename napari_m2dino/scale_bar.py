"""napari's scale bar, turned on with the first loop, unless the person has turned it off."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer

from napari_m2dino.desk import Desk
from napari_m2dino.napari_compat import scale_bar


class ScaleBar:
    """Shows the scale bar while it has one unit to show: mm, or px for loops without a scale.

    Layers of which some are in mm and some in pixels have no common unit: napari would show a bare number, so the bar
    is hidden until they have.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._ours = False
        self._refused = False
        self._bar: Any = scale_bar(desk.viewer)
        self._bar.events.visible.connect(self._toggled)
        self._layers = desk.viewer.layers.events
        # Not while napari is in the midst of adding or removing a layer.
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.refresh)
        self._layers.inserted.connect(self._refresh_soon)
        self._layers.removed.connect(self._refresh_soon)
        desk.loop_changed.connect(self._refresh_soon)
        desk.scale_changed.connect(self._refresh_soon)

    def _refresh_soon(self, _event: object = None) -> None:
        self._soon.start(0)

    def refresh(self) -> None:
        """Show or hide it as the layers need."""
        if self._refused:
            return
        layers = self.desk.viewer.layers
        wanted = self.desk.loop is not None and getattr(layers, "units", ()) is not None
        if wanted != self._bar.visible:
            self._ours = True
            self._bar.visible = wanted
            self._ours = False

    def close(self) -> None:
        """Stop following; the bar stays as it is."""
        self._bar.events.visible.disconnect(self._toggled)
        self._soon.stop()
        self._layers.inserted.disconnect(self._refresh_soon)
        self._layers.removed.disconnect(self._refresh_soon)

    def _toggled(self, _event: object) -> None:
        if not self._ours:
            self._refused = True
