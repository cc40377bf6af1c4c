"""What can be done about the loop on the desk itself, put together."""

from __future__ import annotations

from napari_m2dino.calibrating import Calibrating
from napari_m2dino.copying import Copying
from napari_m2dino.desk import Desk
from napari_m2dino.first_fit import FirstFit
from napari_m2dino.image_area import ImageArea
from napari_m2dino.scale_bar import ScaleBar
from napari_m2dino.units_notice import UnitsNotice


class LoopTools:
    """The tools of the section Loop."""

    def __init__(self, desk: Desk) -> None:
        self.calibrating = Calibrating(desk)
        self.area = ImageArea(desk)
        self.scale_bar = ScaleBar(desk)
        self.units_notice = UnitsNotice(desk)
        self.first_fit = FirstFit(desk)
        self.copying = Copying(desk)

    def close(self) -> None:
        """Leave nothing of ours in the viewer, and finish a copy under way."""
        self.calibrating.cancel()
        self.area.hide()
        self.scale_bar.close()
        self.units_notice.close()
        self.first_fit.close()
        self.copying.close()
