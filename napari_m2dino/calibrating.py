"""The scale by hand: a line drawn along the depth scale, and its length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from m2dino.cine.calibration import Calibration
from m2dino.cine.manual_calibration import calibration_on, forget, remember
from m2dino.errors import M2DinoError, UsageError
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.desk import Desk
from napari_m2dino.loop_facts import millimetres_words, scale_words
from napari_m2dino.napari_compat import remove_soon
from napari_m2dino.rescaling import flat_geometry, rescale, twins
from napari_m2dino.shortcuts import CANCEL_KEY

if TYPE_CHECKING:
    from m2dino.cine.loop import CineLoop
    from napari.layers import Shapes

LAYER_NAME = "calibration line"
UNITS = {"cm": 10.0, "mm": 1.0}
LINE_COLOUR = "#ffd23f"
Point = tuple[float, float]


def length_in_mm(text: str, unit: str) -> float:
    """Return a length that a person typed, in mm; a decimal comma is understood.

    Raises
    ------
    UsageError
        It is no number above 0.
    """
    try:
        length = float(text.strip().replace(",", ".")) * UNITS[unit]
    except ValueError:
        length = math.nan
    if not (math.isfinite(length) and length > 0):
        raise UsageError(f"Type how long the line is, in {unit}: a number above 0, such as 5.")
    return length


class Calibrating(QObject):
    """Calibration of the loop on the desk, step by step: `begin`, a line drawn, `apply` or `cancel`.

    Signals
    -------
    changed : begun, ended, or the line has moved
    drawn : a line was drawn with the mouse: its length is to be typed next
    """

    changed = Signal()
    drawn = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.loop: CineLoop | None = None
        self.layer: Shapes | None = None
        self._before: tuple[Any, str] | None = None
        self._tidy_soon = QTimer(self)
        self._tidy_soon.setSingleShot(True)
        self._tidy_soon.timeout.connect(self._keep_newest)
        desk.loop_changed.connect(self._loop_left)

    @property
    def active(self) -> bool:
        """Whether a line is being asked for."""
        return self.layer is not None

    def begin(self) -> None:
        """Put a layer to draw the line on over the image."""
        loop, layers = self.desk.loop, self.desk.viewer.layers
        if loop is None or self.active:
            return
        active = layers.selection.active
        self._before = None if active is None else (active, str(active.mode))
        self.loop = loop
        self.layer = layer = self.desk.viewer.add_shapes(
            None,
            ndim=2,
            name=LAYER_NAME,
            edge_color=LINE_COLOUR,
            face_color="transparent",
            edge_width=max(loop.height, loop.width) / 250,
            **flat_geometry(loop),
        )
        layer.mode = "add_line"
        layer.mouse_drag_callbacks.append(self._dragged)
        layer.bind_key(CANCEL_KEY, lambda _layer: self.cancel(), overwrite=True)
        layer.events.data.connect(self._moved)
        layers.events.removed.connect(self._removed)
        layers.selection.active = layer
        self.changed.emit()

    def line(self) -> tuple[Point, Point]:
        """Return the ends of the line as (y, x), in original-frame pixels.

        Raises
        ------
        UsageError
            There is no line.
        """
        shapes = self.layer.data if self.layer is not None else []
        if not len(shapes) or len(shapes[-1]) != 2:
            raise UsageError("Draw a line along the depth scale first: press at one end, drag, let go at the other.")
        (y0, x0), (y1, x1) = ((float(y), float(x)) for y, x in shapes[-1])
        return (y0, x0), (y1, x1)

    def proposed(self, text: str, unit: str) -> Calibration:
        """Return the scale that line and length give.

        Raises
        ------
        UsageError
            There is no line, it is too short or leaves the image, or the length is no number above 0.
        """
        assert self.loop is not None
        start, end = self.line()
        return calibration_on(self.loop, start, end, length_in_mm(text, unit))

    def apply(self, calibration: Calibration) -> None:
        """Use and remember a scale, and give the loop's layers their millimetres."""
        loop = self.loop
        if loop is None:
            return
        try:
            remember(loop, calibration)
        except M2DinoError as error:
            self.desk.tell(str(error), "error")
            return
        for twin in twins(self.desk.viewer, loop):
            twin.set_scale(calibration, loop.calibration_reason)
        self._end()
        self._rescale(loop)
        of_pixel = millimetres_words(calibration.dy_mm, calibration.dx_mm)
        self.desk.tell(f"Scale set: {of_pixel}. It is remembered for this loop.", "good")

    def forget(self) -> None:
        """Go back to the scale of the file, or to none."""
        loop = self.desk.loop
        if loop is None:
            return
        self.cancel()
        try:
            forget(loop)
        except M2DinoError as error:
            self.desk.tell(str(error), "error")
            return
        for twin in twins(self.desk.viewer, loop):
            twin.use_own_scale()
        self._rescale(loop)
        self.desk.tell(f"Your scale is forgotten. {scale_words(loop).rstrip('.')}.")

    def cancel(self) -> None:
        """Leave all as it was; safe to call at any time."""
        if self.active:
            self._end()

    def _rescale(self, loop: CineLoop) -> None:
        rescale(self.desk.viewer, loop)
        self.desk.scale_changed.emit()

    def _loop_left(self) -> None:
        # The person has chosen another layer: that choice stands.
        self._before = None
        if self.layer is not None:
            remove_soon(self.desk.viewer, self.layer)
            self._end(remove=False)

    def _end(self, remove: bool = True) -> None:
        layers, layer, before = self.desk.viewer.layers, self.layer, self._before
        self.layer, self.loop, self._before = None, None, None
        self._tidy_soon.stop()
        layers.events.removed.disconnect(self._removed)
        if remove and layer is not None and layer in layers:
            layers.remove(layer)
        if before is not None and before[0] in layers:
            layers.selection.active = before[0]
            before[0].mode = before[1]
        self.changed.emit()

    def _removed(self, _event: object) -> None:
        if self.layer is not None and self.layer not in self.desk.viewer.layers:
            self._end()

    def _moved(self, _event: object) -> None:
        self.changed.emit()

    def _dragged(self, _layer: object, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            yield
            self.changed.emit()
        # napari ends its own drawing after this: a second line replaces the first once that is done.
        self._tidy_soon.start(0)

    def _keep_newest(self) -> None:
        layer = self.layer
        if layer is None:
            return
        if layer.nshapes > 1:
            layer.selected_data = set(range(layer.nshapes - 1))
            layer.remove_selected()
        self.changed.emit()
        self.drawn.emit()
