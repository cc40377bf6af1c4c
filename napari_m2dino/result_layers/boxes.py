"""Detection: a Shapes layer of rectangles in (t, y, x), one a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from m2dino.data.drafts import Content
from m2dino.errors import UsageError
from m2dino.values import Box, Value
from numpy.typing import NDArray

from napari_m2dino.contents import PlacedShape, content_of_shapes, shapes_of_content
from napari_m2dino.layers import box_from_rectangle, off_the_loop, on_frame, rectangle_from_box
from napari_m2dino.napari_compat import measure_anew
from napari_m2dino.result_layers.base import ResultLayer
from napari_m2dino.result_layers.colours import colour

if TYPE_CHECKING:
    from napari.layers import Shapes
    from napari.viewer import Viewer


_LEAST_SHARE = 0.01
"""Of the frame's shorter side: a smaller box, drawn where there is one already, was a click."""


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

    def content(self, frame: int) -> Content | None:
        return None if self.layer is None else content_of_shapes(self._shapes(self._rows(frame)))

    def square_up(self, frame: int) -> None:
        """See to it that a frame shows just what its value says: the box that is saved."""
        value = self.value(frame)
        if value is None or self.layer is None:
            return
        # A box dragged over the border is cut there, and of a turned one the upright box around it counts.
        corners = np.asarray(self.layer.data[self._rows(frame)[0]])
        straight = rectangle_from_box(frame, value)
        if corners.shape != straight.shape or not np.allclose(corners, straight, rtol=0, atol=0.5):
            self.write({frame: value})

    def drawn(self) -> dict[int, Content]:
        if self.layer is None:
            return {}
        rows: dict[int, list[int]] = {}
        for row, corners in enumerate(self.layer.data):
            rows.setdefault(round(float(corners[0][0])), []).append(row)
        return {frame: content_of_shapes(self._shapes(found)) for frame, found in rows.items()}

    def _shapes(self, rows: Iterable[int]) -> list[PlacedShape]:
        assert self.layer is not None
        data, kinds = self.layer.data, self.layer.shape_type
        return [(str(kinds[row]), np.asarray(data[row])[:, 1:]) for row in rows]

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
        self.layer.events.data.connect(self._edited)

    def _edited(self, event: Any) -> None:
        if not self._writing and str(getattr(event, "action", "")).lower().endswith("added"):
            self._keep_to_loop()
            self._keep_one()
        self._notice(-1)

    def _keep_to_loop(self) -> None:
        """Take off what was put on frames that the loop does not have, past the end of the slider's longer loop."""
        assert self.layer is not None
        times = [float(corners[0][0]) for corners in self.layer.data]
        astray = off_the_loop(times, len(self.loop))
        if not len(astray):
            return
        self._writing = True
        try:
            self.layer.selected_data = {int(row) for row in astray}
            self.layer.remove_selected()
            measure_anew(self.layer)
        finally:
            self._writing = False
        self._not_here([times[row] for row in astray])

    def _keep_one(self) -> None:
        """Let the box just drawn take the place of the one before; a mere click in drawing mode takes nothing."""
        assert self.layer is not None
        newest = len(self.layer.data) - 1
        if newest < 0:
            return
        frame, box = box_from_rectangle(self.layer.data[newest], self.loop.height, self.loop.width)
        others = {int(row) for row in self._rows(frame)} - {newest}
        if not others:
            return
        least = _LEAST_SHARE * min(self.loop.height, self.loop.width)
        speck = min(box.y_max - box.y_min, box.x_max - box.x_min) < least
        self._writing = True
        try:
            self.layer.selected_data = {newest} if speck else others
            self.layer.remove_selected()
        finally:
            self._writing = False
        if speck:
            self.noted.emit(f"That was too small for a box: the one on frame {frame} stays. Drag to draw another.")
        else:
            self.noted.emit(f"The new box takes the place of the one before on frame {frame}.")

    def _write(self, values: Mapping[int, Value | None]) -> None:
        boxes = {}
        for frame, value in values.items():
            assert value is None or isinstance(value, Box)
            boxes[frame] = [] if value is None else [("rectangle", rectangle_from_box(frame, value)[:, 1:])]
        self._place(boxes)

    def _put(self, contents: Mapping[int, Content]) -> None:
        self._place({frame: shapes_of_content(content) for frame, content in contents.items()})

    def _place(self, shapes: Mapping[int, Sequence[PlacedShape]]) -> None:
        """Put shapes on frames, in place of those there."""
        assert self.layer is not None
        old = {int(row) for frame in shapes for row in self._rows(frame)}
        if old:
            self.layer.selected_data = old
            self.layer.remove_selected()
        new, kinds = [], []
        for frame, placed in shapes.items():
            for kind, corners in placed:
                new.append(np.insert(corners, 0, frame, axis=1))
                kinds.append(kind)
        if new:
            self.layer.add(new, shape_type=kinds)
            self.layer.selected_data = set()
