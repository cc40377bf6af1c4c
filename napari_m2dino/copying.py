"""The de-identified copy of the loop on the desk, written in the background."""

from __future__ import annotations

import contextlib
from pathlib import Path

from m2dino.cine.loop import CineLoop
from m2dino.deid import Deidentified, DeidOptions, copy_loop
from qtpy.QtCore import QObject, Signal

from napari_m2dino.background import BackgroundThread
from napari_m2dino.desk import Desk
from napari_m2dino.errors import Message, explain

_DONE = {
    "dicom": "names, dates, identifiers and private data are gone from the header",
    "video": "tags, sound and data streams are gone",
}
_AS_PICTURES = "the frames are PNG pictures without tags or text fields"


def copy_words(outcome: Deidentified, reader: str) -> Message:
    """Return what to tell a person about a copy just written."""
    assert outcome.target is not None
    parts = [f"De-identified copy written: {outcome.target.name}. In it {_DONE.get(reader, _AS_PICTURES)}"]
    if outcome.masked:
        parts[0] += ", and all outside the image regions is black"
    parts += [warning[:1].upper() + warning[1:] for warning in outcome.warnings]
    return Message(". ".join(parts) + ".", "warning" if outcome.warnings else "good")


class Copying(QObject):
    """Copies one loop at a time.

    Signals
    -------
    changed : a copy has begun or ended
    """

    changed = Signal()
    _ended = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.running = False
        self._thread = BackgroundThread("m2dino copy")
        self._ended.connect(self._tell)

    def start(self, loop: CineLoop, target: Path, mask: bool) -> None:
        """Copy a loop to `target`; with `mask`, all outside its ultrasound regions becomes black."""
        if self.running:
            return
        self.running = True
        self._thread.submit(lambda: self._copy(loop, target, mask))
        self.desk.tell("Writing the de-identified copy…")
        self.changed.emit()

    def close(self) -> None:
        """Wait for a copy under way, a few seconds at most; a copy cut short leaves no file of its name."""
        self._thread.stop(5.0, finish=True)

    def _copy(self, loop: CineLoop, target: Path, mask: bool) -> None:
        try:
            told = copy_words(copy_loop(loop, target, DeidOptions(mask=mask)), loop.reader)
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: whatever it is, a person is told
            told = Message(explain(error, "writing the de-identified copy"), "error")
        # RuntimeError: the window went meanwhile.
        with contextlib.suppress(RuntimeError):
            self._ended.emit(told)

    def _tell(self, told: Message) -> None:
        self.running = False
        self.desk.tell(told.text, told.level)
        self.changed.emit()
