"""Keeps napari quiet about units that differ between our own layers: some loops have a scale, others have none."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import notification_manager

from napari_m2dino.desk import Desk
from napari_m2dino.loop_layer import loop_of
from napari_m2dino.napari_compat import INCONSISTENT_UNITS


class UnitsNotice:
    """Holds back one sentence of napari, and only while layers of ours are its cause.

    napari says it again at every change of the layer list. For loops it is no news: the dock says of each whether it
    has a scale, and only one is shown at a time.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        notification_manager.notification_ready.connect(self._hear, position="first")

    def close(self) -> None:
        """Let everything through again."""
        notification_manager.notification_ready.disconnect(self._hear)

    def _hear(self, notification: Any) -> None:
        if str(notification.message) == INCONSISTENT_UNITS and self.ours_differ():
            notification.blocked = True
            if notification in notification_manager.records:
                notification_manager.records.remove(notification)

    def ours_differ(self) -> bool:
        """Whether some of our layers are in millimetres and others in pixels."""
        ours = [loop for layer in self.desk.viewer.layers if (loop := loop_of(layer)) is not None]
        return len({loop.calibration is None for loop in ours}) > 1
