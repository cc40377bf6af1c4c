"""The line of models of the dataset folder: promote, keep aside, roll back, all off the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from m2dino.errors import HarmError
from m2dino.lineage import Lineage, LineModel, keep_aside, promote, read_lineage, roll_back
from qtpy.QtCore import QObject, Signal

from napari_m2dino.background import BackgroundThread, guarded, send
from napari_m2dino.desk import Desk
from napari_m2dino.errors import explain


class Promoting(QObject):
    """What can be done with fine-tuned models.

    Signals
    -------
    changed : the line, or what can be pressed
    applied : (path of the model now in use, sentence)
    refused : (path, sentences): the guard speaks against a model; it takes a deliberate act
    """

    changed = Signal()
    applied = Signal(object, str)
    refused = Signal(object, object)
    _read = Signal(object, str)
    _used = Signal(object, object, str)
    _harm = Signal(object, object)
    _trouble = Signal(str)

    def __init__(self, desk: Desk, thread: BackgroundThread, folder: Callable[[], Path]) -> None:
        super().__init__()
        self.desk = desk
        self.folder = folder
        self.line = Lineage()
        self.busy = False
        self._thread = thread
        self._read.connect(self._take)
        self._used.connect(self._apply)
        self._harm.connect(self._refuse)
        self._trouble.connect(self._fail)

    def model_at(self, file: Path | None) -> LineModel | None:
        """Return a model of the line by its file."""
        return self.line.at(file) if file is not None else None

    def undecided(self, task_id: str) -> LineModel | None:
        """Return the newest model of a task, if nothing was decided on it yet."""
        own = [one for one in self.line.models if one.card is not None and one.card.training.get("task") == task_id]
        return own[-1] if own and own[-1].state == "undecided" else None

    def refresh(self) -> None:
        """Read the line anew."""
        folder = self.folder()
        self._do(lambda: send(self, "_read", read_lineage(folder), ""), "reading the models")

    def promote(self, file: Path, *, despite_harm: bool = False) -> None:
        """Take a model into use; where the guard speaks against it, `refused` tells, unless `despite_harm` is given."""
        folder = self.folder()

        def job() -> None:
            try:
                line = promote(folder, file, despite_harm=despite_harm)
            except HarmError as error:
                send(self, "_harm", file, error.said)
                return
            words = f"{file.stem} is in use now; frames that you have not decided on are predicted with it."
            send(self, "_used", line, file, words)

        self._act(job, "taking the model into use")

    def keep_aside(self, file: Path) -> None:
        """Keep a model without using it."""
        folder = self.folder()

        def job() -> None:
            send(self, "_read", keep_aside(folder, file), f"{file.stem} is kept aside: it stays in the list of models.")

        self._act(job, "keeping the model aside")

    def roll_back(self) -> None:
        """Go back to the model in use before."""
        folder = self.folder()

        def job() -> None:
            line = roll_back(folder)
            now = line.in_use
            assert now is not None
            words = f"Back to {now.file.stem}; frames that you have not decided on are predicted with it."
            send(self, "_used", line, now.file, words)

        self._act(job, "going back")

    def _act(self, job: Callable[[], None], doing: str) -> None:
        if not self.busy:
            self.busy = True
            self.changed.emit()
            self._do(job, doing)

    def _do(self, job: Callable[[], None], doing: str) -> None:
        self._thread.submit(guarded(job, lambda error: send(self, "_trouble", explain(error, doing))))

    # -- on the GUI thread -------------------------------------------------------------------------------------------
    def _take(self, line: Lineage, words: str) -> None:
        self.line = line
        if words:
            self.busy = False
            self.desk.tell(words)
        self.changed.emit()

    def _apply(self, line: Lineage, file: Path, words: str) -> None:
        self.line, self.busy = line, False
        self.changed.emit()
        self.applied.emit(file, words)

    def _refuse(self, file: Path, said: list[str]) -> None:
        self.busy = False
        self.desk.tell(f"{file.stem} was not taken into use. {' '.join(said)}", "error")
        self.changed.emit()
        self.refused.emit(file, said)
        self.refresh()  # what speaks against it may have come about in another window

    def _fail(self, message: str) -> None:
        self.busy = False
        self.desk.tell(message, "error")
        self.changed.emit()
