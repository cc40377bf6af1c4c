"""What can be done about the loop on the desk itself, put together."""

from __future__ import annotations

from napari_m2dino.calibrating import Calibrating
from napari_m2dino.copying import Copying
from napari_m2dino.desk import Desk
from napari_m2dino.image_area import ImageArea
from napari_m2dino.scale_bar import ScaleBar


class LoopTools:
    """The tools of the section Loop."""

    def __init__(self, desk: Desk) -> None:
        self.calibrating = Calibrating(desk)
        self.area = ImageArea(desk)
        self.scale_bar = ScaleBar(desk)
        self.copying = Copying(desk)

    def close(self) -> None:
        """Leave nothing of ours in the viewer, and finish a copy under way."""
        self.calibrating.cancel()
        self.area.hide()
        self.scale_bar.close()
        self.copying.close()
