"""Figures of the frame shown and of the whole loop, from what stands on the layers, computed off the GUI thread.

Only frames whose value has changed since are measured again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from m2dino.cine.loop import CineLoop
from m2dino.errors import UsageError
from m2dino.measure import Measurement, changes, measure, rows, write_table
from m2dino.progress import OnProgress, ShouldStop
from m2dino.tasks import Task
from m2dino.values import Keypoints, Mask, Value
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.desk import Desk
from napari_m2dino.errand import Ending, Errand
from napari_m2dino.layers import is_blank
from napari_m2dino.result_layers import ResultLayer

WAIT_MS = 250
"""So long a frame is shown, or a label unchanged, before it is measured: nothing is while a loop plays."""

Reader = Callable[[], Value | None]
Known = dict[int, tuple[int, tuple[Measurement, ...]]]
"""By frame: a checksum of the value measured, and the figures."""


@dataclass(frozen=True)
class Figures:
    """What was measured on one task of one loop.

    Attributes
    ----------
    loop : CineLoop
    task : Task
    each : dict of int to tuple of Measurement
        By frame that has a value.
    whole : tuple of Measurement
        What is said of the whole loop, as of the last time that all its frames had been measured.
    complete : bool
        Whether all frames have been measured.
    """

    loop: CineLoop
    task: Task
    each: dict[int, tuple[Measurement, ...]]
    whole: tuple[Measurement, ...] = ()
    complete: bool = False

    def everything(self) -> list[Measurement]:
        """Return all figures: those of the frames in their order, then those of the loop."""
        return [one for frame in sorted(self.each) for one in self.each[frame]] + list(self.whole)

    def series(self, name: str) -> dict[int, float]:
        """Return one figure by frame, where it has a value, in the unit that most frames have."""
        found = {frame: one for frame, all_of in self.each.items() for one in all_of if one.name == name}
        units = [one.unit for one in found.values() if one.value is not None]
        unit = max(set(units), key=units.count, default="")
        return {frame: one.value for frame, one in sorted(found.items()) if one.value is not None and one.unit == unit}

    def unit(self, name: str) -> str:
        """Return the unit of a series."""
        shown = self.series(name)
        return next((one.unit for frame in shown for one in self.each[frame] if one.name == name), "")

    def names(self) -> list[str]:
        """Return the names of the figures of frames, in the order in which they come."""
        return list(dict.fromkeys(one.name for frame in sorted(self.each) for one in self.each[frame]))


class Measuring(QObject):
    """Measures when somebody looks at the figures, and not before.

    Attributes
    ----------
    figures : Figures or None
        The newest, of the result on the desk.

    Signals
    -------
    changed : there are new figures, or none any more
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.figures: Figures | None = None
        self._of: ResultLayer | None = None
        self._known: Known = {}
        self._looked_at = False
        self._all_wanted = False
        self._asked: tuple[ResultLayer | None, bool] = (None, False)
        self._to_write: Path | None = None
        self.errand = Errand("m2dino measuring")
        self.errand.handed.connect(self._show)
        self.errand.ended.connect(self._take)
        self._table = Errand("m2dino table")
        self._table.ended.connect(self._written)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(WAIT_MS)
        self._soon.timeout.connect(self._measure)
        desk.session_changed.connect(self._session_changed)
        desk.frame_changed.connect(self.touch)
        desk.scale_changed.connect(self._scale_changed)

    def close(self) -> None:
        """Stop the clock and the threads; a table is written to its end. Safe to call twice."""
        self._soon.stop()
        self._follow(None)
        self.errand.close()
        self._table.close(5.0, finish=True)

    def look(self, looked_at: bool, whole_loop: bool = False) -> None:
        """Say whether anybody looks at the figures, and whether at those of the whole loop."""
        self._looked_at, self._all_wanted = looked_at, looked_at and whole_loop
        self.touch()

    def touch(self, _frame: int = -1) -> None:
        """Measure soon: a frame is shown, or something has changed."""
        if self._looked_at or self._to_write is not None:
            self._soon.start()

    @property
    def ready(self) -> bool:
        """Whether the figures are those of the whole loop as it stands."""
        settled = not self.errand.running and not self._soon.isActive()
        return self.figures is not None and self.figures.complete and settled

    def write_csv(self, path: Path) -> None:
        """Write all figures as a table, as soon as the whole loop has been measured."""
        figures = self.figures
        if figures is None:
            return
        if not self.ready:
            self._to_write = path
            self.desk.tell("The rest of the loop is being measured first; then the table is written.")
            self.touch()
            return

        def work(_progress: OnProgress, _stop: ShouldStop, _hand: Callable[[object], None]) -> Path:
            write_table(path, rows(figures.everything(), figures.task.id, figures.loop))
            return path

        self._table.start(work, "writing the table")

    def _written(self, ending: Ending) -> None:
        if ending.trouble:
            self.desk.tell(ending.trouble, "error")
        else:
            self.desk.tell(f"Table written: {ending.result.name}.", "good")

    # -- following ---------------------------------------------------------------------------------------------------
    def _session_changed(self) -> None:
        self._follow(self.desk.result)
        self._known, self.figures = {}, None
        if self._to_write is not None:
            self._to_write = None
            self.desk.tell("The table was not written: another loop or task was chosen first.", "warning")
        self.errand.cancel()
        self.changed.emit()
        self.touch()

    def _follow(self, result: ResultLayer | None) -> None:
        if self._of is not None:
            self._of.changed.disconnect(self.touch)
            self._of.session.changed.disconnect(self.touch)
        self._of = result
        if result is not None:
            result.changed.connect(self.touch)
            result.session.changed.connect(self.touch)

    def _scale_changed(self) -> None:
        # An answer by the scale before, still on its way, would be taken for one by this.
        self._known, self._asked = {}, (None, False)
        if self.figures is not None:
            self.figures = replace(self.figures, complete=False)
        self.errand.cancel()
        self.touch()

    # -- measuring ---------------------------------------------------------------------------------------------------
    def _measure(self) -> None:
        result = self.desk.result
        if result is None or not result.is_shown(self.desk.viewer):
            if self.figures is not None:
                self.figures = None
                self.changed.emit()
            return
        # The frame shown comes first, and its figures are there before the others have been measured.
        shown = self.desk.frame
        complete = self._all_wanted or self._to_write is not None
        others = [frame for frame in range(len(result.loop)) if frame != shown] if complete else []
        readers = {frame: result.reader(frame) for frame in (shown, *others)}
        loop, task, known = result.loop, result.task, dict(self._known)

        def work(on_progress: OnProgress, should_stop: ShouldStop, hand_over: Callable[[Known], None]) -> Known | None:
            for done, (frame, found) in enumerate(_measured(readers, known, task, loop), start=1):
                if should_stop():
                    return None
                on_progress(done, len(readers), "")
                if found is None:
                    known.pop(frame, None)
                else:
                    known[frame] = found
                if done == 1:
                    hand_over(dict(known))
            return known

        self._asked = (result, complete)
        self.errand.start(work, "measuring")

    def _take(self, ending: Ending) -> None:
        if ending.trouble:
            self._to_write = None
            self.desk.tell(ending.trouble, "error")
        if ending.result is not None:
            self._show(ending.result, complete=self._asked[1])
        if self._to_write is not None and self.ready:
            path, self._to_write = self._to_write, None
            self.write_csv(path)

    def _show(self, known: Known, complete: bool = False) -> None:
        result = self._asked[0]
        if result is None or result is not self.desk.result:
            return
        self._known = known
        each = {frame: found for frame, (_, found) in sorted(known.items())}
        whole = self.figures.whole if self.figures else ()
        if complete:
            flat = [one for found in each.values() for one in found]
            whole = changes(flat, result.task, result.loop.markers)
        self.figures = Figures(result.loop, result.task, each, whole, complete)
        self.changed.emit()


def _measured(
    readers: dict[int, Reader], known: Known, task: Task, loop: CineLoop
) -> Iterator[tuple[int, tuple[int, tuple[Measurement, ...]] | None]]:
    """Yield each frame with its checksum and figures, or None where it has no value; unchanged ones as known."""
    for frame, read in readers.items():
        try:
            value = read()
        except UsageError:
            value = None  # something that is no value yet, such as a label that is no class
        if value is None or is_blank(value):
            yield frame, None
            continue
        check = zlib.crc32(_content(value))
        before = known.get(frame)
        same = before is not None and before[0] == check
        yield frame, before if same else (check, measure(value, task, loop, frame))


def _content(value: Value) -> bytes:
    if isinstance(value, Mask):
        return value.labels.tobytes()
    return value.points.tobytes() if isinstance(value, Keypoints) else repr(value).encode()
