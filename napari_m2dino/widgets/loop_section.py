"""Section Loop: which loop is on the desk, and how to get one there."""

from __future__ import annotations

from pathlib import Path

from m2dino.cine.loop import CineLoop
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog

from napari_m2dino.desk import Desk
from napari_m2dino.widgets.style import Section, Words, button, row


class LoopSection(Section):
    """Name, size, timing and scale of the loop. Emits `wanted(path)` for a file to open, and `sample_wanted`."""

    wanted = Signal(object)
    sample_wanted = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__("Loop")
        self.desk = desk
        self.name = Words("No loop yet", "name")
        self.facts = Words()
        self.open_file = button("Open file…", "Open a DICOM cine, a video or an image")
        self.open_folder = button("Open folder…", "Open a folder of DICOM files, videos or equally sized images")
        self.sample = button("Sample loop", "Open a real carotid loop that the bundled model can label")
        self.body.addWidget(self.name)
        self.body.addWidget(self.facts)
        self.body.addLayout(row(self.open_file, self.open_folder, self.sample))
        self.open_file.clicked.connect(self._ask_file)
        self.open_folder.clicked.connect(self._ask_folder)
        self.sample.clicked.connect(self.sample_wanted)
        desk.loop_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the loop on the desk."""
        loop = self.desk.loop
        self.name.say(loop.name if loop else "No loop yet")
        self.facts.say(
            facts_of(loop)
            if loop
            else "Drop a DICOM cine, a video or a folder of images on the window, or open the sample."
        )
        self.sample.setVisible(loop is None)

    def _ask_file(self) -> None:
        kinds = "Loops (*.dcm *.dicom *.mp4 *.avi *.mov *.mkv *.png *.jpg *.jpeg *.bmp *.tif *.tiff);;All files (*)"
        name, _ = QFileDialog.getOpenFileName(self, "Open a loop", "", kinds)
        if name:
            self.wanted.emit(Path(name))

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder of loops or images")
        if name:
            self.wanted.emit(Path(name))


def facts_of(loop: CineLoop) -> str:
    """Return size, timing, compression and scale of a loop in one or two lines."""
    parts = [f"{len(loop)} frames" if len(loop) != 1 else "1 frame", f"{loop.height} × {loop.width} px"]
    if loop.frame_time_s:
        parts.append(f"{loop.frame_time_s * 1000:.0f} ms")
    parts.append(loop.codec)
    if loop.calibration:
        scale = f"{loop.calibration.dy_mm:.3f} mm per pixel ({loop.calibration.source})"
    else:
        scale = f"lengths in pixels: {loop.calibration_reason}"
    return f"{' · '.join(parts)}\n{scale}"
