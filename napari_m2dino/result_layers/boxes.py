"""Detection: a Shapes layer of rectangles in (t, y, x), one a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from m2dino.errors import UsageError
from m2dino.values import Box, Value
from numpy.typing import NDArray

from napari_m2dino.layers import box_from_rectangle, on_frame, rectangle_from_box
from napari_m2dino.result_layers.base import ResultLayer
from napari_m2dino.result_layers.colours import colour

if TYPE_CHECKING:
    from napari.layers import Shapes
    from napari.viewer import Viewer


class BoxLayer(ResultLayer):
    """Boxes that a person draws and drags."""

    layer: Shapes | None

    def value(self, frame: int) -> Box | None:
        if self.layer is None:
            return None
        here = self._rows(frame)
        if len(here) > 1:
            raise UsageError(
                f"There are {len(here)} boxes on frame {frame}, but {self.task.title} has one: delete the rest."
            )
        if not len(here):
            return None
        return box_from_rectangle(self.layer.data[here[0]], self.loop.height, self.loop.width)[1]

    def _rows(self, frame: int) -> NDArray[np.intp]:
        assert self.layer is not None
        return on_frame([float(corners[0][0]) for corners in self.layer.data], frame)

    def _make(self, viewer: Viewer) -> Shapes:
        width = max(self.loop.height, self.loop.width) / 300
        return viewer.add_shapes(
            None,
            ndim=3,
            edge_color=colour(1),
            face_color="transparent",
            edge_width=width,
            **self._options(),
        )

    def _connect(self) -> None:
        assert self.layer is not None
        self.layer.events.data.connect(lambda _event: self._notice(-1))

    def _write(self, values: Mapping[int, Value | None]) -> None:
        assert self.layer is not None
        old = {int(row) for frame in values for row in self._rows(frame)}
        if old:
            self.layer.selected_data = old
            self.layer.remove_selected()
        new = []
        for frame, value in values.items():
            assert value is None or isinstance(value, Box)
            if value is not None:
                new.append(rectangle_from_box(frame, value))
        if new:
            self.layer.add(new, shape_type="rectangle")
            self.layer.selected_data = set()
