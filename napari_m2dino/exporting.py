"""Labels out to other programs' formats, and theirs back onto the loop as proposals; in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2dino.cine.loop import CineLoop
from m2dino.correct.mask_operations import unknown_labels
from m2dino.errors import DatasetError, ExportError
from m2dino.progress import OnProgress, ShouldStop
from m2dino.tasks import Task
from m2dino.values import Mask, Prediction, Value
from qtpy.QtCore import QObject, Signal

from napari_m2dino.applying import propose
from napari_m2dino.desk import Desk
from napari_m2dino.errand import Ending, Errand
from napari_m2dino.loop_layer import loop_of
from napari_m2dino.origins import Origin, imported_from, origin_of
from napari_m2dino.result_layers import ResultLayer, result_of
from napari_m2dino.session import FrameState, LoopSession

if TYPE_CHECKING:
    from m2dino.export import AnnotatedLoop, Exported, Format
    from m2dino.export.annotated import Annotation, ExportFate

    Fates = dict[int, ExportFate]


class Scope(Enum):
    """What is exported."""

    LOOP = "this loop"
    TASK = "all saved loops, this task"
    FOLDER = "all saved loops, all tasks"


@dataclass(frozen=True)
class Wish:
    """An export as a person asked for it.

    Attributes
    ----------
    to : str
        One of `m2dino.export.FORMATS`.
    scope : Scope
    target : Path
        A folder that is not there yet.
    proposals : bool
        Of this loop, also what the model proposed and nobody has decided on.
    """

    to: Format
    scope: Scope
    target: Path
    proposals: bool = False


def exportable(session: LoopSession, proposals: bool) -> tuple[Fates, int]:
    """Return the fates of the frames of a loop that can be exported, and how many changes are left out as not accepted.

    What was carried, filled in or imported is a person's only once it is accepted, and no model's: it is never among
    the proposals.
    """
    fates: Fates = {}
    changed = 0
    for frame, state in enumerate(session.states()):
        if state is FrameState.ACCEPTED:
            fates[frame] = "accepted"
        elif state is FrameState.EDITED:
            fates[frame] = "edited"
        elif state is FrameState.CHANGED:
            changed += 1
        elif state is FrameState.PROPOSED and proposals and origin_of(session.maker(frame)) is Origin.MODEL:
            fates[frame] = "proposed"
    return fates, changed


class Exchange(QObject):
    """Exports and imports, one at a time.

    Signals
    -------
    changed : it has begun, got on or ended
    arrived : imported proposals were put on the current result
    acted : (ResultLayer, list of frames) that one import has put proposals on
    """

    changed = Signal()
    arrived = Signal()
    acted = Signal(object, object)

    def __init__(self, desk: Desk, folder: Callable[[], Path]) -> None:
        super().__init__()
        self.desk = desk
        self._folder = folder
        self._target: ResultLayer | None = None
        self._then: Callable[[Any], None] = lambda _result: None
        self.errand = Errand("m2dino export")
        self.errand.changed.connect(self.changed)
        self.errand.ended.connect(self._ended)

    def close(self) -> None:
        """Stop; what is half-written leaves nothing behind. Safe to call twice."""
        self.errand.close(3.0)

    def cancel(self) -> None:
        """End what is under way; nothing of an export is left."""
        self.errand.cancel()

    # -- out ---------------------------------------------------------------------------------------------------------
    def export(self, wish: Wish) -> None:
        """Write labels to a new folder."""
        if self.errand.running:
            return
        left_out = ""
        loops: Callable[[], AbstractContextManager[list[AnnotatedLoop]]]
        if wish.scope is Scope.LOOP:
            result = self.desk.result
            if result is None:
                self.desk.tell("Open a loop and choose a task first.", "warning")
                return
            fates, changed = exportable(result.session, wish.proposals)
            if not fates:
                also = "" if wish.proposals else ", or include the model’s proposals"
                self.desk.tell(f"Nothing to export: accept a frame first{also}.", "warning")
                return
            if changed:
                frames = "1 frame with a change" if changed == 1 else f"{changed} frames with changes"
                left_out = f" Left out: {frames} that you have not accepted."
            loops = partial(_of_session, result, fates)
        else:
            task = self.desk.task if wish.scope is Scope.TASK else None
            folder = self._folder()
            here = [loop for layer in self.desk.viewer.layers if (loop := loop_of(layer)) and result_of(layer) is None]
            files = {loop.identity: loop for loop in here}
            loops = partial(_of_folder, folder, task, files)

        def work(on_progress: OnProgress, should_stop: ShouldStop, _hand: Callable[[object], None]) -> Exported | None:
            from m2dino.export import export_annotations

            with loops() as annotated:
                return export_annotations(annotated, wish.target, wish.to, None, on_progress, should_stop)

        self._then = lambda done: self._tell_exported(done, wish, left_out)
        self.errand.start(work, "exporting")

    def _tell_exported(self, done: Exported | None, wish: Wish, left_out: str) -> None:
        if done is None:
            self.desk.tell("Export stopped: nothing was written.")
            return
        frames = "1 frame" if done.frames == 1 else f"{done.frames} frames"
        sentences = [f"{frames} written as {wish.to} to {done.target.name}.{left_out}", *done.left_out, *done.missing]
        if done.has_pictures:
            sentences.append(
                "The pictures are among the files, with any text burnt into them: look before you pass on."
            )
        self.desk.tell(" ".join(sentences), "warning" if left_out or done.left_out or done.missing else "good")

    # -- back --------------------------------------------------------------------------------------------------------
    def import_labels(self, path: Path, first_frame: int = 0) -> None:
        """Read a COCO file, or a folder in the FM_UIA layout, and put its labels on the loop as proposals."""
        result = self.desk.result
        if self.errand.running:
            return
        if result is None:
            self.desk.tell("Open the loop that the labels belong to, and choose their task, first.", "warning")
            return
        loop, task = result.loop, result.task

        def work(_progress: OnProgress, _stop: ShouldStop, _hand: Callable[[object], None]) -> dict[int, Value]:
            from m2dino.export import read_coco, read_fmuia

            values = (read_fmuia if path.is_dir() else read_coco)(path, task, loop, first_frame)
            for frame, value in values.items():
                if isinstance(value, Mask) and (unknown := unknown_labels(value, task)):
                    raise DatasetError(
                        f"{path}: the mask of frame {frame} has the label {min(unknown)}, but {task.title} has the "
                        f"labels 0 to {task.num_classes - 1}: it is of another task."
                    )
            return values

        self._target = result
        self._then = lambda values: self._put(values, imported_from("FM_UIA" if path.is_dir() else "COCO"))
        self.errand.start(work, "importing labels")

    def _put(self, values: dict[int, Value], maker: str) -> None:
        result, self._target = self._target, None
        if result is None or not self.desk.shows(result.loop):
            return
        self.desk.show_result(result)
        found = [Prediction(frame, result.task.id, value, 1.0, maker) for frame, value in values.items()]
        kept = propose(result, found)
        put = len(found) - len(kept)
        yours = f" {len(kept)} of yours stay as they were." if kept else ""
        frames = "1 frame" if put == 1 else f"{put} frames"
        self.desk.tell(f"Labels imported on {frames}.{yours} These are proposals: look at each, then accept it (A).")
        if put:
            self.acted.emit(result, [frame for frame in values if frame not in kept])
        if result is self.desk.result:
            self.arrived.emit()

    def _ended(self, ending: Ending) -> None:
        if ending.trouble:
            self._target = None
            self.desk.tell(ending.trouble, "error")
        elif self._target is not None and self.errand.asked_to_end:
            # Also where the file was read by then: nothing is on the layers yet.
            self._target = None
            self.desk.tell("Import stopped: nothing was changed.")
        else:
            self._then(ending.result)


@contextmanager
def _of_session(result: ResultLayer, fates: Fates) -> Iterator[list[AnnotatedLoop]]:
    """Return what was decided on a loop in the window; masks are unpacked one at a time, in the thread that writes."""
    from m2dino.export import AnnotatedLoop
    from m2dino.export.annotated import Annotation

    session, loop, task = result.session, result.loop, result.task

    def read(frame: int) -> Annotation:
        value = session.saved_value(frame)
        if fates[frame] == "proposed" and (proposal := session.proposal(frame)):
            value = proposal.value
        if value is None:
            raise ExportError(f"Frame {frame} was taken back during the export: export again.")
        return Annotation(frame, value, fates[frame], session.maker(frame), loop.identity)

    size = (loop.height, loop.width)
    yield [AnnotatedLoop(loop.identity, task, tuple(sorted(fates)), size, read, loop.__getitem__, loop)]


@contextmanager
def _of_folder(folder: Path, task: Task | None, files: dict[str, CineLoop]) -> Iterator[list[AnnotatedLoop]]:
    """Return what the dataset folder holds, of one task or of all; loops that are open lend their scale and times."""
    from m2dino.data.store import Store
    from m2dino.export import loops_of_store

    with Store.open(folder) as store:
        yield loops_of_store(store, [task.id] if task else (), files=files)
