"""The shared state of one dock: which loop, task and model are on the desk, and the sessions opened so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2dino.cine.loop import CineLoop
from m2dino.data.cropping import Region, image_region
from m2dino.errors import TaskError
from m2dino.tasks import Task, builtin_tasks, load_tasks
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.checkpoints import Checkpoint
from napari_m2dino.copied_layers import copies, copies_in_words, let_go
from napari_m2dino.errors import Level, Message
from napari_m2dino.loop_layer import loop_of
from napari_m2dino.napari_compat import current_frame, frame_shown, go_to_frame
from napari_m2dino.result_layers import KINDS, ResultLayer, result_of
from napari_m2dino.session import LoopSession

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Desk(QObject):
    """What is being worked on.

    Attributes
    ----------
    viewer : napari.viewer.Viewer
    loop : CineLoop or None
        That of the selected layer, else of the first loop in the layer list.
    task : Task or None
    result : ResultLayer or None
        The values of `task` on `loop`; its `session` is the state that belongs to them.
    checkpoints : list of Checkpoint
    checkpoint : Checkpoint or None
    by_hand : bool
        Whether a person chose it in this window, rather than the dataset folder, whose model in use it would be.
    looked : bool
        Whether checkpoints have been looked for yet.
    whole_frame : set of str
        Identities of the loops of which the network is to see the whole frame, though the file names the image area.
    tasks : TaskRegistry
        The 27, the user's own, and those that checkpoints and the dataset folder bring.
    """

    loop_changed = Signal()
    scale_changed = Signal()
    session_changed = Signal()
    frame_changed = Signal(int)
    tasks_changed = Signal()
    checkpoint_changed = Signal()
    layers_let_go = Signal()
    told = Signal(object)

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.loop: CineLoop | None = None
        self.task: Task | None = None
        self.result: ResultLayer | None = None
        self.checkpoints: list[Checkpoint] = []
        self.checkpoint: Checkpoint | None = None
        self.by_hand = False
        self.looked = False
        self.whole_frame: set[str] = set()
        self._results: dict[tuple[int, str], ResultLayer] = {}
        self._still = False
        self._task_of_loop: dict[str, str] = {}
        self._listening: list[tuple[Any, Callable[..., None]]] = []
        # Not at once: a layer of our own is known to its result only after it has been added.
        self._look_for_copies = QTimer(self)
        self._look_for_copies.setSingleShot(True)
        self._look_for_copies.setInterval(0)
        self._look_for_copies.timeout.connect(self._let_go_of_copies)
        try:
            self.tasks = load_tasks()
        except TaskError as error:
            self.tasks = builtin_tasks()
            self._late_message: Message | None = Message(str(error), "warning")
        else:
            self._late_message = None

    def open(self) -> None:
        """Start following the viewer."""
        self._let_go_of_copies()
        for layer in self.viewer.layers:
            if result := result_of(layer):
                self._results[(id(result.loop), result.task.id)] = result
        layers = self.viewer.layers
        self._listen(layers.selection.events.active, self._find_loop)
        self._listen(layers.events.inserted, self._find_loop)
        self._listen(layers.events.inserted, self._inserted)
        self._listen(layers.events.removed, self._find_loop)
        self._listen(self.viewer.dims.events.point, self._stepped)
        self._find_loop()
        if self._late_message:
            self.told.emit(self._late_message)

    def close(self) -> None:
        """Stop following the viewer; safe to call twice."""
        for emitter, callback in self._listening:
            emitter.disconnect(callback)
        self._listening.clear()
        self._look_for_copies.stop()

    def tell(self, text: str, level: Level = "info") -> None:
        """Show a sentence in the message line."""
        self.told.emit(Message(text, level))

    # -- loop and frame ----------------------------------------------------------------------------------------------
    @property
    def frame(self) -> int:
        """The frame shown, from 0; where none of the loop's is, the first or last of them."""
        return current_frame(self.viewer, len(self.loop)) if self.loop else 0

    @property
    def past_the_end(self) -> bool:
        """Whether the slider, as long as the longest layer, stands where the loop has no frame and none is seen."""
        return self.loop is not None and not 0 <= frame_shown(self.viewer.dims) < len(self.loop)

    def frame_is_seen(self) -> bool:
        """Return whether a frame of the loop is seen, and say so where none is: nothing is decided on unseen."""
        if self.loop is None or not self.past_the_end:
            return True
        self.tell(
            f"The slider stands on frame {frame_shown(self.viewer.dims)}, and this loop has the frames 0 to "
            f"{len(self.loop) - 1}: go back to one of them first."
        )
        return False

    def go_to(self, frame: int) -> None:
        """Show another frame."""
        go_to_frame(self.viewer, frame)

    def loop_layer(self) -> Any:
        """Return the image layer of the loop; None if it is not in the viewer."""
        return next((x for x in self.viewer.layers if loop_of(x) is self.loop and result_of(x) is None), None)

    def shows(self, loop: CineLoop) -> bool:
        """Whether a loop is (still) in the viewer."""
        return any(loop_of(layer) is loop and result_of(layer) is None for layer in self.viewer.layers)

    def hold(self, still: bool) -> None:
        """Keep to the loop at hand while many layers are added, each of which napari selects; then look again."""
        self._still = still
        if not still:
            self._find_loop()

    def _find_loop(self, _event: object = None) -> None:
        if self._still:
            return
        shown = {
            id(loop): loop for layer in self.viewer.layers if (loop := loop_of(layer)) and result_of(layer) is None
        }
        active = self.viewer.layers.selection.active
        chosen = loop_of(active) if active is not None else None
        if chosen is None or id(chosen) not in shown:
            # Selecting another layer, or none, is no reason to leave the loop at hand.
            chosen = self.loop if id(self.loop) in shown else next(iter(shown.values()), None)
        task_wanted = result.task if (result := result_of(active)) and result.loop is chosen else None
        if chosen is self.loop:
            if task_wanted is not None and self.task is not None and task_wanted.id != self.task.id:
                self.choose_task(task_wanted)
            return
        self.loop = chosen
        if len(shown) > 1:
            self._show_only(chosen)
        self.loop_changed.emit()
        if chosen is not None:
            remembered = self._task_of_loop.get(chosen.identity)
            if task_wanted is not None or remembered in self.tasks:
                self.task = task_wanted or self.tasks[str(remembered)]
        self._renew()

    def _show_only(self, loop: CineLoop | None) -> None:
        """Hide the layers of other loops, which would lie over this one, and fit the view to it."""
        for layer in self.viewer.layers:
            other = loop_of(layer)
            # Said again, what is so already would be drawn again: seconds, with many loops.
            wanted = other is loop
            if other is not None and (not wanted or result_of(layer) is None) and layer.visible != wanted:
                layer.visible = wanted
        if loop is not None:
            # The slider is as long as the longest loop: past the end of this one there is nothing to see.
            go_to_frame(self.viewer, current_frame(self.viewer, len(loop)))
        self.viewer.reset_view()

    def _inserted(self, _event: object = None) -> None:
        self._look_for_copies.start()

    def _let_go_of_copies(self) -> None:
        """Let go of the copies that napari has made of our layers, and say so: nothing hears what is drawn on them."""
        found = copies(self.viewer.layers)
        if not found:
            return
        lost = any((result := result_of(layer)) and not result.is_shown(self.viewer) for layer in found)
        let_go(found)
        self.layers_let_go.emit()
        self.tell(copies_in_words([layer.name for layer in found], lost), "warning")

    def _stepped(self, _event: object = None) -> None:
        if self.loop is not None:
            self.frame_changed.emit(self.frame)

    def region_for(self, loop: CineLoop) -> Region | None:
        """Return the part of a loop's frames that the network is shown; None: all of it."""
        return None if loop.identity in self.whole_frame else image_region(loop)

    # -- task and session --------------------------------------------------------------------------------------------
    @property
    def session(self) -> LoopSession | None:
        """State of the current loop and task."""
        return self.result.session if self.result else None

    def choose_task(self, task: Task) -> None:
        """Work on another task."""
        if self.task is not None and task.id == self.task.id and self.result is not None:
            return
        self.task = task
        self._renew()

    def bring(self, result: ResultLayer) -> None:
        """Put another loop and task on the desk, whose layer of the image is in the viewer."""
        if result.loop is not self.loop:
            self._task_of_loop[result.loop.identity] = result.task.id
            wanted = next(x for x in self.viewer.layers if loop_of(x) is result.loop and result_of(x) is None)
            self.viewer.layers.selection.active = wanted
        self.choose_task(result.task)

    def _renew(self) -> None:
        self.result = None
        if self.loop is not None and self.task is not None:
            self._task_of_loop[self.loop.identity] = self.task.id
            # By object, not by identity: the same loop opened twice has two layers, and a session for each.
            key = (id(self.loop), self.task.id)
            known = self._results.get(key)
            if known is None:
                known = self._results[key] = KINDS[self.task.type](LoopSession(self.loop, self.task, self.region_for))
            self.result = known
            self._bring_to_front(known)
        self.session_changed.emit()

    def _bring_to_front(self, result: ResultLayer) -> None:
        """Show the layer of the task at hand, and hide those of other tasks on the same loop."""
        layers = self.viewer.layers
        for layer in layers:
            other = result_of(layer)
            if other is not None and other.loop is result.loop:
                layer.visible = other is result
        active = result_of(layers.selection.active)
        if active is not None and active is not result and active.loop is result.loop:
            layers.selection.active = result.layer if result.is_shown(self.viewer) else self.loop_layer()

    @property
    def outdated(self) -> bool:
        """Whether nothing is predicted yet, or only by other models than the one chosen."""
        if self.session is None or self.checkpoint is None:
            return False
        return not self.session.has_proposals_of(self.checkpoint.card.id)

    def results_for(self, loop_id: str, task_id: str) -> list[ResultLayer]:
        """Return the values of a task on a loop that is in the viewer, once for each time that it was opened."""
        return [
            result
            for result in self._results.values()
            if (result.loop.identity, result.task.id) == (loop_id, task_id) and self.shows(result.loop)
        ]

    def results(self) -> list[ResultLayer]:
        """Return the values of every task on every loop worked on so far."""
        return list(self._results.values())

    def tasks_of(self, loop: CineLoop) -> list[str]:
        """Return the ids of the tasks worked on with a loop, in order of first use."""
        return [task_id for (one, task_id) in self._results if one == id(loop)]

    def show_result(self, result: ResultLayer) -> None:
        """See to it that the layer of `result` is in the viewer, with all that is known on it."""
        if not (result.show(self.viewer) if result is self.result else self._show_aside(result)):
            return
        session = result.session
        # What a look at a frame compares with: a rejected frame shows what was rejected, or it would count as changed.
        known = {frame: value for frame in range(len(session.loop)) if (value := session.base(frame)) is not None}
        if known:
            result.write(known)
        if drawn := session.contents():
            result.put(drawn)

    def _show_aside(self, result: ResultLayer) -> bool:
        """Add the layer of another task or loop, as labels that come back do, and keep to the one at hand."""
        layers = self.viewer.layers
        active, still = layers.selection.active, self._still
        self._still = True  # napari selects what is added, and a layer that a person selects brings its task
        try:
            made = result.show(self.viewer)
            if made and result.layer is not None:
                result.layer.visible = False
                layers.selection.active = active
        finally:
            self._still = still
        return made

    def add_tasks(self, tasks: Iterable[Task], source: str) -> None:
        """Learn of tasks that a checkpoint or the dataset folder brings."""
        new = [task for task in tasks if task.id not in self.tasks]
        try:
            self.tasks = self.tasks.extended(new, source)
        except TaskError as error:
            self.tell(str(error), "warning")
        if new:
            self.tasks_changed.emit()

    # -- model -------------------------------------------------------------------------------------------------------
    def set_checkpoints(self, found: list[Checkpoint], prefer: Path | None = None) -> None:
        """Take a new list to choose from, keeping the choice where it is still there."""
        self.checkpoints, self.looked = found, True
        for checkpoint in found:
            self.add_tasks(checkpoint.tasks(), checkpoint.path.name)
        by_path = {one.path: one for one in found}
        now = by_path.get(self.checkpoint.path) if self.checkpoint is not None else None
        first = found[0] if found else None
        self.choose_checkpoint((by_path.get(prefer) if prefer is not None else None) or now or first)

    def choose_checkpoint(self, checkpoint: Checkpoint | None) -> None:
        """Work with another model."""
        self.checkpoint = checkpoint
        self.checkpoint_changed.emit()

    def _listen(self, emitter: Any, callback: Callable[..., None]) -> None:
        emitter.connect(callback)
        self._listening.append((emitter, callback))
