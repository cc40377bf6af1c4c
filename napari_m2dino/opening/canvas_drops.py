"""Files dropped on the image while the dock is open: loops are opened by us, without napari's question which reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import QEvent, QMimeData, QObject, Qt
from qtpy.QtGui import QDropEvent, QGuiApplication
from qtpy.QtWidgets import QWidget

from napari_m2dino.opening.file_kinds import is_for_loops

_NAPARI_KEYS = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier


class CanvasDrops(QObject):
    """Watches the places where napari takes dropped files, and takes those that are loops.

    Shift and Alt, with which napari stacks files and asks for a reader, leave everything to it.

    Parameters
    ----------
    places : sequence of QWidget
    open_paths : callable
        Opens files and folders.
    """

    def __init__(self, places: Sequence[QWidget], open_paths: Callable[[list[Path]], None]) -> None:
        super().__init__()
        self._open_paths = open_paths
        self.watching = True
        for place in places:
            place.installEventFilter(self)

    def close(self) -> None:
        """Watch no more; safe to call twice."""
        self.watching = False

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if self.watching and event is not None and event.type() == QEvent.Type.Drop and isinstance(event, QDropEvent):
            paths = local_paths(event.mimeData())
            if paths and not QGuiApplication.keyboardModifiers() & _NAPARI_KEYS and is_for_loops(paths):
                event.acceptProposedAction()
                self._open_paths(paths)
                return True
        return False


def local_paths(data: QMimeData | None) -> list[Path]:
    """Return the files and folders that are dragged; nothing where anything else, such as a web page, is among them."""
    urls = data.urls() if data is not None else []
    return [Path(url.toLocalFile()) for url in urls] if all(url.isLocalFile() for url in urls) else []
