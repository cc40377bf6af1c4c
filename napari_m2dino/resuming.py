"""Going on where the last session was left: loop, task, frame, layers and queue; the work itself is in the store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.background import BackgroundThread
from napari_m2dino.desk import Desk
from napari_m2dino.errand import Ending, Errand
from napari_m2dino.last_place import LastPlace, recall, remember
from napari_m2dino.loop_search import one_loop
from napari_m2dino.places import state_folder
from napari_m2dino.result_layers import result_of
from napari_m2dino.reviewing import Reviewing

WRITE_AFTER_MS = 700


class Resuming(QObject):
    """Writes down where the session stands, and offers the last one.

    Attributes
    ----------
    offer : LastPlace or None
        What can be gone back to; None once a loop is open.
    moved : bool
        Whether its loop is not at its place any more: a person has to say where to look for it.
    searching : bool
        Whether it is being looked for.

    Signals
    -------
    changed : the offer has changed
    """

    changed = Signal()

    def __init__(
        self,
        desk: Desk,
        reviewing: Reviewing,
        open_loop: Callable[[Path], None],
        thread: BackgroundThread,
        dataset: Callable[[], Path],
    ) -> None:
        super().__init__()
        self.desk, self.reviewing = desk, reviewing
        self._open, self._thread, self._dataset = open_loop, thread, dataset
        self._file = state_folder() / "last_place.json"
        self.offer = recall(self._file)
        self.moved = self.offer is not None and not Path(self.offer.path).exists()
        self._errand = Errand("m2dino looking for a loop")
        self._errand.changed.connect(self.changed)
        self._errand.ended.connect(self._found)
        self._going_to: LastPlace | None = None
        self._write_soon = QTimer(self)
        self._write_soon.setSingleShot(True)
        self._write_soon.setInterval(WRITE_AFTER_MS)
        self._write_soon.timeout.connect(self._write)
        desk.loop_changed.connect(self._loop_changed)
        desk.session_changed.connect(self._write_soon.start)
        desk.frame_changed.connect(lambda _frame: self._write_soon.start())
        reviewing.changed.connect(self._write_soon.start)

    def close(self) -> None:
        """Write down where the session stands, and look no further; safe to call twice."""
        self._errand.close(0.2)
        if self._write_soon.isActive():
            self._write_soon.stop()
            self._write()

    def resume(self) -> None:
        """Open the loop of the last session, and go on there."""
        place, self.offer = self.offer, None
        if place is None:
            return
        self._going_to = place
        self._open(Path(place.path))
        self.changed.emit()

    @property
    def searching(self) -> bool:
        return self._errand.running

    def look_in(self, folder: Path) -> None:
        """Look for the loop of the last session below a folder, by its content, and go on there if it is found."""
        if self.offer is not None:
            self._errand.start(one_loop(folder, self.offer.loop_id), "looking for the loop")

    def dismiss(self) -> None:
        """Offer the last session no more."""
        self._errand.cancel()
        self.offer = None
        self.changed.emit()

    def _found(self, ending: Ending) -> None:
        if self.offer is None or ending.cancelled:
            return
        if ending.trouble:
            self.desk.tell(ending.trouble, "error")
        elif ending.result is None:
            self.desk.tell(
                "That loop is not in this folder or below it, under any name. Choose another folder.", "warning"
            )
        else:
            self.offer = replace(self.offer, path=str(ending.result))
            self.resume()

    def _loop_changed(self) -> None:
        if self.desk.loop is None:
            return
        self.offer = None
        if (place := self._going_to) is not None:
            self._going_to = None
            # Once the loop is on the desk with all that belongs to it.
            QTimer.singleShot(0, lambda: self._arrive(place))
        self.changed.emit()

    def _arrive(self, place: LastPlace) -> None:
        desk, loop = self.desk, self.desk.loop
        if loop is None or loop.identity != place.loop_id:
            desk.tell(
                "Another loop lies where the last one was. Say where that one is now, and your work on it is back.",
                "warning",
            )
            self.offer, self.moved = place, True
            self.changed.emit()
            return
        self.reviewing.queue.order = place.order
        for task_id in [*(one for one in place.tasks if one != place.task), place.task]:
            if task_id in desk.tasks:
                desk.choose_task(desk.tasks[task_id])
        desk.go_to(min(place.frame, len(loop) - 1))
        for layer in desk.viewer.layers:
            result = result_of(layer)
            if result is not None and (known := place.layers.get(result.task.id)):
                layer.opacity = float(known.get("opacity", layer.opacity))
        if str(self._dataset()) != place.dataset:
            desk.tell(
                "The last session saved to another dataset folder: choose it with Folder…, and its labels are back.",
                "warning",
            )
        self.changed.emit()

    def _write(self) -> None:
        desk = self.desk
        path = getattr(desk.loop, "path", None)
        if desk.loop is None or desk.task is None or path is None:
            return
        layers = {}
        for layer in desk.viewer.layers:
            if (result := result_of(layer)) is not None and result.loop is desk.loop:
                layers[result.task.id] = {"visible": bool(layer.visible), "opacity": float(layer.opacity)}
        place = LastPlace(
            str(Path(path).absolute()),
            desk.loop.identity,
            desk.loop.name,
            str(self._dataset()),
            desk.task.id,
            desk.tasks_of(desk.loop),
            desk.frame,
            self.reviewing.queue.order,
            layers,
        )

        def job() -> None:
            # Where it cannot be written, there is no offer the next time; the work itself is safe elsewhere.
            with contextlib.suppress(OSError):
                remember(self._file, place)

        self._thread.submit(job)
