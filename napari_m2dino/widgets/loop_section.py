"""Section Loop: which loop is on the desk, and how to get one there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from m2dino.cine.loop import CineLoop
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAction, QFileDialog, QMenu

from napari_m2dino.desk import Desk
from napari_m2dino.opening.file_kinds import dialog_filter
from napari_m2dino.widgets.style import Section, Words, button, set_main, small_button


class LoopSection(Section):
    """Name, size, timing and scale of the loop. Emits `wanted(paths)` for files to open, and `sample_wanted`."""

    wanted = Signal(object)
    sample_wanted = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__("Loop")
        self.desk = desk
        self.name = Words("No loop yet", "name")
        self.facts = Words()
        self.open = small_button("Open…", "Open a DICOM cine, a video, a folder of images, or the sample loop")
        menu = QMenu(self.open)
        for text, action in (
            ("File…", self._ask_file),
            ("Folder…", self._ask_folder),
            ("Sample loop", self.sample_wanted.emit),
        ):
            item = QAction(text, menu)
            item.triggered.connect(_without_argument(action))
            menu.addAction(item)
        self.open.setMenu(menu)
        self.corner.addWidget(self.open)
        self.sample = button("Open the sample loop", "A real carotid loop that the bundled model can label")
        set_main(self.sample, True)
        self.body.addWidget(self.name)
        self.body.addWidget(self.facts)
        self.body.addWidget(self.sample)
        self.sample.clicked.connect(self.sample_wanted)
        desk.loop_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the loop on the desk."""
        loop = self.desk.loop
        self.name.say(loop.name if loop else "No loop yet")
        self.facts.say(
            facts_of(loop) if loop else "Drop a DICOM cine, a video or a folder of images here, or open the sample."
        )
        self.facts.setToolTip(loop.calibration_reason if loop else "")
        self.sample.setVisible(loop is None)

    def _ask_file(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Open loops", "", dialog_filter())
        if names:
            self.wanted.emit([Path(name) for name in names])

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder of loops or images")
        if name:
            self.wanted.emit([Path(name)])


def _without_argument(action: Callable[[], None]) -> Callable[..., None]:
    return lambda *_: action()


def facts_of(loop: CineLoop) -> str:
    """Return size, timing, compression and scale of a loop in two lines."""
    parts = [f"{len(loop)} frames" if len(loop) != 1 else "1 frame", f"{loop.width} × {loop.height} px"]
    if loop.frame_time_s:
        parts.append(f"{loop.frame_time_s * 1000:.0f} ms")
    parts.append(loop.codec)
    if loop.calibration:
        scale = f"{loop.calibration.dy_mm:.3f} mm per pixel ({loop.calibration.source})"
    else:
        scale = "no pixel size: lengths in pixels"
    return f"{' · '.join(parts)}\n{scale}"
