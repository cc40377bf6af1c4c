"""Small pictures for lists, and the thread that makes them while the list is already shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPainter, QPixmap

from napari_m2dino.background import BackgroundThread
from napari_m2dino.errors import explain
from napari_m2dino.opening.finding import THUMBNAIL, Picture

SIZE = QSize(*THUMBNAIL)


def icon(picture: Picture | None = None) -> QIcon:
    """Return a picture (h, w, 3), or none, in the middle of a black card of `SIZE`."""
    card = QPixmap(SIZE)
    card.fill(Qt.GlobalColor.black)
    if picture is not None:
        height, width = picture.shape[:2]
        data = np.ascontiguousarray(picture)
        image = QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        painter = QPainter(card)
        painter.drawImage((SIZE.width() - width) // 2, (SIZE.height() - height) // 2, image)
        painter.end()
    # The same in every state: Qt would tint it.
    shown = QIcon(card)
    for mode in (QIcon.Mode.Selected, QIcon.Mode.Disabled):
        shown.addPixmap(card, mode)
    return shown


class LookingThread(QObject):
    """Does one job for each of some things in its own thread and hands the results over in the GUI thread.

    Signals
    -------
    found : (index, result)
    """

    found = Signal(int, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._thread = thread = BackgroundThread("m2dino thumbnails")
        # It may go with its dialog, and that with its window, without being stopped.
        self.destroyed.connect(thread.give_up)

    def each(self, job: Callable[[Any], Any], things: Iterable[tuple[int, Any]]) -> None:
        """Queue `job(thing)` for every (index, thing)."""
        for index, thing in things:
            self._thread.submit(lambda index=index, thing=thing: self._do(index, job, thing))  # type: ignore[misc]

    def stop(self) -> None:
        """Do no more; what is under way is finished by itself, and nobody hears of it."""
        self._thread.stop(0)

    def _do(self, index: int, job: Callable[[Any], Any], thing: Any) -> None:
        try:
            result = job(thing)
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: a list without one picture will do
            explain(error, "making a thumbnail")
            return
        # RuntimeError: the dialog went meanwhile.
        with contextlib.suppress(RuntimeError):
            if not self._thread.stopping:
                self.found.emit(index, result)
