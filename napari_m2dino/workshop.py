"""All that works behind one dock, put together: the desk, the threads, the child process. Owns their end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2dino.errors import M2DinoError
from m2dino.lineage import Lineage, checkpoint_folder, read_lineage
from m2dino.values import ClassProbabilities
from qtpy.QtCore import QObject, Signal

from napari_m2dino.autosave import Autosave
from napari_m2dino.background import BackgroundThread, guarded, send
from napari_m2dino.checkpoints import find_checkpoints
from napari_m2dino.desk import Desk
from napari_m2dino.errors import explain
from napari_m2dino.foresight import Foresight
from napari_m2dino.hand_tools import HandTools
from napari_m2dino.import_ahead import load, load_for_carrying, use_units
from napari_m2dino.improving import Improving
from napari_m2dino.jobs import PredictionJobs
from napari_m2dino.keys import FILE_NAME, Keys
from napari_m2dino.loop_tools import LoopTools
from napari_m2dino.napari_compat import main_window
from napari_m2dino.opening.controller import Opening
from napari_m2dino.places import author, dataset_folder, remember_dataset_folder, seat, state_folder
from napari_m2dino.predicting import Predicting
from napari_m2dino.promoting import Promoting
from napari_m2dino.resuming import Resuming
from napari_m2dino.reviewing import Reviewing
from napari_m2dino.session import FrameState
from napari_m2dino.training_process import TrainingProcess

if TYPE_CHECKING:
    from m2dino.cine.loop import CineLoop
    from napari.viewer import Viewer

FIRST_TASK = "carotid_artery"


class Workshop(QObject):
    """The working parts of one dock."""

    _checkpoints_found = Signal(object, object, object)
    _trouble = Signal(str)
    _units_ready = Signal(object)

    def __init__(self, viewer: Viewer, dataset: Path | None = None) -> None:
        super().__init__()
        folder = dataset or dataset_folder()
        self.files = BackgroundThread("m2dino files")
        self.jobs = PredictionJobs()
        self.autosave = Autosave(folder, seat())
        self.autosave.author = author()
        self.process = TrainingProcess()
        self.keys = Keys(state_folder() / FILE_NAME)
        self.desk = Desk(viewer)
        self.opening = Opening(viewer, self.desk.tell, partial(main_window, viewer))
        self.tools = LoopTools(self.desk)
        self.predicting = Predicting(self.desk, self.jobs)
        self.reviewing = Reviewing(self.desk, self.autosave)
        self.hand = HandTools(self.desk, lambda: self.autosave.folder, self.reviewing.choose_class)
        self.hand.carrying.put.connect(self.reviewing.enter_put)
        self.hand.carrying.acted.connect(self.reviewing.end_press)
        self.reviewing.press_undone.connect(self.hand.carrying.call_off)
        self.foresight = Foresight(self.desk, self.reviewing, self.autosave)
        self.promoting = Promoting(self.desk, self.files, lambda: self.autosave.folder)
        self.improving = Improving(
            self.desk, self.reviewing, self.autosave, self.process, self.foresight, self.promoting
        )
        self.resuming = Resuming(self.desk, self.reviewing, self.open_loop, self.files, lambda: self.autosave.folder)
        self.closed = False
        self._others: list[Path] = []
        self._before_opened: dict[str, Path] = {}
        self._applying = False
        self._checkpoints_found.connect(self._take_checkpoints)
        self.opening.adding.connect(self.desk.hold)
        self._units_ready.connect(use_units)
        self._trouble.connect(lambda text: self.desk.tell(text, "error"))
        self.autosave.tasks.connect(lambda tasks: self.desk.add_tasks(tasks, "the dataset folder"))
        self.improving.trained.connect(self._take_trained)
        self.promoting.applied.connect(self._use)
        self.jobs.model_failed.connect(self._not_loaded)

    def start(self) -> None:
        """Begin to follow the viewer, and look for checkpoints."""
        self.desk.open()
        self._in_files(lambda: send(self, "_units_ready", load()), "loading what napari needs")
        self._look_for_checkpoints()
        # Not beside the model: SciPy looks for PyTorch's types as soon as PyTorch is there, even if half imported.
        self.jobs.in_turn(self._guarded(load_for_carrying, "loading what carrying needs"))

    def close(self) -> None:
        """Stop everything, saving what waits; safe to call twice."""
        if self.closed:
            return
        self.closed = True
        self.opening.close()
        self.improving.close()
        self.foresight.close()
        self.resuming.close()
        self.hand.close()
        self.reviewing.close()
        self.tools.close()
        self.desk.close()
        self.jobs.stop()
        self.autosave.stop()
        self.files.stop(1.0)

    def actions(self) -> dict[str, Callable[[], None]]:
        """Return what each shortcut does."""
        return {
            "accept": self.reviewing.accept,
            "reject": self.reviewing.reject,
            "next": self.reviewing.next,
            "take_back": self.reviewing.take_back,
            "next_in_order": self.reviewing.next_in_order,
            "undo": self.reviewing.undo,
            "redo": self.reviewing.redo,
            "step_back": partial(self.reviewing.step, -1),
            "step_on": partial(self.reviewing.step, 1),
            "predict_frame": self.predicting.this_frame,
            "predict_all": self.predicting.all_frames,
            "draw": self.reviewing.new_label,
            **self.hand.actions(),
        }

    def class_in_words(self) -> str:
        """Return the class of the frame shown, and whose word it is; empty for other kinds of task."""
        desk = self.desk
        if desk.task is None or desk.result is None or desk.task.type != "classification":
            return ""
        value = desk.result.value(desk.frame)
        if not isinstance(value, ClassProbabilities):
            return ""
        name = desk.task.label_names[value.index]
        by_hand = desk.result.session.state(desk.frame) is not FrameState.PROPOSED
        return f"{name} (yours)" if by_hand else f"model: {name} {value.probabilities[value.index]:.2f}"

    # -- files -------------------------------------------------------------------------------------------------------
    def open_loop(self, path: Path) -> None:
        """Open a file or folder, as `open_loops`."""
        self.open_loops([path])

    def open_loops(self, paths: Iterable[Path]) -> None:
        """Open files and folders, off the GUI thread, and show their loops; where several are in one, ask which."""
        self.opening.open(paths)

    def open_sample(self) -> None:
        """Open the sample loop."""

        def make() -> list[CineLoop]:
            from napari_m2dino.sample_data import carotid

            return [data.loop for data, _, _ in carotid()]

        self.opening.open_made(make)

    def add_checkpoint(self, path: Path) -> None:
        """Offer one more checkpoint file, and choose it; where it cannot be loaded, the one before stays in use."""
        if self.desk.checkpoint is not None:
            self._before_opened[str(path)] = self.desk.checkpoint.path
        self._others.append(path)
        self.desk.by_hand = True
        self._look_for_checkpoints(path)

    def _not_loaded(self, path: str, _sentence: str) -> None:
        """Go back to the model before one that was opened and has weights that cannot be used."""
        before = self._before_opened.pop(path, None)
        if before is not None:
            self._others = [one for one in self._others if str(one) != path]
            self._look_for_checkpoints(before)

    def move_dataset(self, folder: Path) -> None:
        """Save to another dataset folder from now on, and work with its model in use unless a person chose one."""
        remember_dataset_folder(folder)
        chosen = self.desk.checkpoint
        if chosen is not None and self.desk.by_hand:
            self._others.append(chosen.path)  # it may be one of the folder that is left
        self.reviewing.move_to(folder)
        self._look_for_checkpoints(moved=True)

    def _look_for_checkpoints(
        self, prefer: Path | None = None, then: str = "", *, apply: bool = False, moved: bool = False
    ) -> None:
        folder, others = self.autosave.folder, list(self._others)
        # Where nobody has chosen a model, the folder's own is taken.
        begun, self._applying = moved or self.desk.checkpoint is None, apply
        follows = begun and prefer is None and not self.desk.by_hand
        self.promoting.refresh()

        def job() -> None:
            line = Lineage()
            with contextlib.suppress(M2DinoError):  # the line itself tells of its own trouble
                line = read_lineage(folder)
            used = line.in_use
            found, problems = find_checkpoints(folder, [*others, *([used.file] if used else [])])
            usable = {one.path for one in found}
            unusable = [path for path in others if path not in usable]
            wanted = used.file if used and follows else prefer
            gone = _gone(line) if begun else ""
            send(self, "_checkpoints_found", found, problems, (wanted, then, unusable, gone))

        self._in_files(job, "looking for checkpoints")

    def _take_checkpoints(
        self, found: Any, problems: list[str], wish: tuple[Path | None, str, list[Path], str]
    ) -> None:
        prefer, then, unusable, gone = wish
        self.desk.set_checkpoints(found, prefer)
        self._others = [path for path in self._others if path not in unusable]
        troubles = [problem for problem in problems if prefer is None or problem.startswith(str(prefer))]
        if gone and self.desk.checkpoint is not None:
            self.desk.tell(f"{gone} At hand now: {self.desk.checkpoint.title}.", "error")
        elif troubles:
            self.desk.tell(troubles[-1], "error")
        elif then:
            self.desk.tell(then, "good")
        if self.desk.task is None:
            self._choose_first_task()
        if self._applying and self.desk.loop is not None and not self.predicting.obstacle():
            self.predicting.all_anew()
        self._applying = False

    def _choose_first_task(self) -> None:
        """Put a task that the model knows on the desk, so that one click gives a prediction."""
        checkpoint = self.desk.checkpoint
        if checkpoint is None:
            return
        known = [task.id for task in checkpoint.tasks() if task.id in self.desk.tasks]
        if known:
            self.desk.choose_task(self.desk.tasks[FIRST_TASK if FIRST_TASK in known else known[0]])

    def _take_trained(self, path: str) -> None:
        """Offer the new model in the list; it is used once a person promotes it."""
        if path:
            self._look_for_checkpoints(
                then="Trained. Look at before and after, then promote the new model or keep it aside."
            )

    def _use(self, file: Path, words: str) -> None:
        """Work with a model that was promoted or gone back to, on the loop on screen too."""
        self.desk.by_hand = False  # it is the folder's own now
        if file not in [one.path for one in self.desk.checkpoints] and file.parent != checkpoint_folder(
            self.autosave.folder
        ):
            self._others.append(file)
        self._look_for_checkpoints(file, words, apply=True)

    def _in_files(self, job: Callable[[], None], doing: str) -> None:
        self.files.submit(self._guarded(job, doing))

    def _guarded(self, job: Callable[[], None], doing: str) -> Callable[[], None]:
        return guarded(job, lambda error: send(self, "_trouble", explain(error, doing)))


def _gone(line: Lineage) -> str:
    """Say that the model in use of a dataset folder has gone; empty where it is there, or none is in use."""
    if not line.gone:
        return ""
    lost = line.get(line.gone)
    name = lost.file.name if lost else line.gone
    return f"The model in use of this dataset folder, {name}, has gone or is damaged: put it back, or go to another."
