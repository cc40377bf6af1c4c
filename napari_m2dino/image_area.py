"""The part of the frame that is the image: predicted in alone, where wished, and outlined on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from m2dino.data.cropping import Region, image_region
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_m2dino.desk import Desk
from napari_m2dino.napari_compat import remove_soon
from napari_m2dino.rescaling import flat_geometry

if TYPE_CHECKING:
    from napari.layers import Image

LAYER_NAME = "image area"
OUTLINE_COLOUR = (255, 210, 63, 220)


class ImageArea(QObject):
    """The image area of the loop on the desk, and what a person wants of it.

    Signals
    -------
    changed : the wish, or whether the outline is shown
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._outline: Image | None = None
        desk.loop_changed.connect(self._loop_left)
        desk.scale_changed.connect(self._redraw)

    def offered(self) -> Region | None:
        """Return the area (y_min, x_min, y_max, x_max) of the loop on the desk; None: it is the frame, or not known."""
        return None if self.desk.loop is None else image_region(self.desk.loop)

    @property
    def inside_only(self) -> bool:
        """Whether the loop on the desk is predicted inside its image area alone."""
        return self.desk.loop is not None and self.desk.region_for(self.desk.loop) is not None

    def predict_inside_only(self, wanted: bool) -> None:
        """Predict the loop on the desk inside its image area alone, or in the whole frame, from now on."""
        if self.desk.loop is not None and self.offered() is not None:
            identity = self.desk.loop.identity
            (self.desk.whole_frame.discard if wanted else self.desk.whole_frame.add)(identity)
            what = "the image area only" if wanted else "the whole frame"
            self.desk.tell(f"From the next prediction on, the network sees {what}.")
            self.changed.emit()

    @property
    def outlined(self) -> bool:
        """Whether the outline is in the viewer."""
        return self._outline is not None and self._outline in self.desk.viewer.layers

    def show(self) -> None:
        """Draw a thin line around the image area."""
        region, loop = self.offered(), self.desk.loop
        if region is None or loop is None or self.outlined:
            return
        layers = self.desk.viewer.layers
        active = layers.selection.active
        self._outline = self.desk.viewer.add_image(
            outline_picture(loop.height, loop.width, region), rgb=True, name=LAYER_NAME, **flat_geometry(loop)
        )
        if active is not None:
            layers.selection.active = active
        self.changed.emit()

    def hide(self) -> None:
        """Take the outline away; safe to call at any time."""
        if self.outlined:
            self.desk.viewer.layers.remove(self._outline)
        self._outline = None
        self.changed.emit()

    def _loop_left(self) -> None:
        outline, self._outline = self._outline, None
        if outline is not None:
            remove_soon(self.desk.viewer, outline)
        self.changed.emit()

    def _redraw(self) -> None:
        if self.outlined:
            self.hide()
            self.show()


def outline_picture(height: int, width: int, region: Region) -> NDArray[np.uint8]:
    """Return a clear picture, (height, width, 4) uint8 RGBA, with a thin line along the inner edge of a region."""
    y_min, x_min, y_max, x_max = region
    thick = max(1, round(max(height, width) / 500))
    picture = np.zeros((height, width, 4), np.uint8)
    picture[y_min:y_max, x_min:x_max] = OUTLINE_COLOUR
    picture[y_min + thick : y_max - thick, x_min + thick : x_max - thick] = 0
    return picture
