"""Predictions that arrive one by one, put on their layer in handfuls: one update costs much the same as ten."""

from __future__ import annotations

from collections.abc import Callable

from m2dino.values import Prediction
from qtpy.QtCore import QObject, QTimer

from napari_m2dino.desk import Desk
from napari_m2dino.result_layers import ResultLayer

PUT_EVERY_MS = 120


class Handfuls(QObject):
    """What has arrived for one result and is not on its layer yet.

    Parameters
    ----------
    desk : Desk
    put : callable
        Called with the result, whose layer is in the viewer, and with what has arrived for it.
    closed : callable
        Called instead where the loop has been closed meanwhile; what has arrived is dropped.

    Attributes
    ----------
    target : ResultLayer or None
        The result that predictions arrive for.
    """

    def __init__(
        self, desk: Desk, put: Callable[[ResultLayer, list[Prediction]], None], closed: Callable[[], None]
    ) -> None:
        super().__init__()
        self.target: ResultLayer | None = None
        self._desk, self._put, self._closed = desk, put, closed
        self._arrived: list[Prediction] = []
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._flush)

    def begin(self, target: ResultLayer) -> None:
        """Take predictions for another result from now on."""
        self.target, self._arrived = target, []

    def take(self, prediction: Prediction, wait_ms: int = PUT_EVERY_MS) -> None:
        """Take a prediction; the first of a handful decides how long others are waited for."""
        self._arrived.append(prediction)
        if not self._soon.isActive():
            self._soon.start(wait_ms)

    def flush(self) -> None:
        """Put what has arrived on the layer now."""
        self._soon.stop()
        self._flush()

    def close(self) -> None:
        """Stop the clock; safe to call twice."""
        self._soon.stop()

    def _flush(self) -> None:
        target, arrived = self.target, self._arrived
        self._arrived = []
        if target is None or not arrived:
            return
        if not self._desk.shows(target.loop):
            self._closed()
            return
        self._desk.show_result(target)
        self._put(target, arrived)
