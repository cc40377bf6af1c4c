"""What a fine-tuning would do, said before it is begun: the estimate, the advice, and what speaks against starting.

Worked out in a thread of its own, for it reads the dataset folder; where this computer was never measured, a short
trial runs in a child process, and another thread waits for it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from m2dino.advice.finetuning import advise_finetune
from m2dino.data.store import Store
from m2dino.errors import M2DinoError, MissingPicturesError, NothingToReplayError, StoreError
from m2dino.lineage import read_lineage
from m2dino.network.card import read_card
from m2dino.tasks import TaskRegistry
from m2dino.training.corrections import replayable
from m2dino.training.estimate import Estimate, estimate
from m2dino.training.finetune_settings import Form
from m2dino.training.replay_folders import rows_to_replay
from qtpy.QtCore import QObject, QTimer, Signal

from napari_m2dino.autosave import Autosave
from napari_m2dino.background import BackgroundThread, send
from napari_m2dino.desk import Desk
from napari_m2dino.reviewing import Reviewing

DELAY_MS = 250
MEASURE_S = 120.0
NOTHING_TO_REPLAY = (
    "Learning together also changes what other tasks use, and this folder holds too little to keep them by: decide on "
    "four or more frames of another task that the model knows, add labelled data of one, or let this task learn alone."
)


@dataclass(frozen=True)
class Question:
    """What is asked: a task of a dataset folder with so many frames, the model in use, how to learn and what beside."""

    dataset: Path
    task_id: str
    frames: int
    checkpoint: Path
    model_id: str
    form: Form
    replay: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Foreseen:
    """What was found.

    Attributes
    ----------
    base : Path
        The checkpoint to start from: the last model before the task's own corrections.
    estimate : Estimate or None
    trouble : str
        Why it cannot start; empty if it can.
    advice : str
    lost : bool
        Whether it cannot start because pictures have gone from the folder: their loops would bring them back.
    """

    base: Path
    estimate: Estimate | None = None
    trouble: str = ""
    advice: str = ""
    lost: bool = False


class Foresight(QObject):
    """Keeps what would be done up to date.

    Signals
    -------
    changed : something was found, or holds no longer
    """

    changed = Signal()
    _answered = Signal(object, object)
    _speed_known = Signal()

    def __init__(self, desk: Desk, reviewing: Reviewing, autosave: Autosave) -> None:
        super().__init__()
        self.desk = desk
        self.reviewing = reviewing
        self.autosave = autosave
        self.form: Form = "isolated"
        self.labelled: Path | None = None
        self._thread = BackgroundThread("m2dino foresight")
        self._trial = BackgroundThread("m2dino trial")
        self._asked: Question | None = None
        self._found: tuple[Question, Foreseen] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._measured = set[Form]()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(DELAY_MS)
        self._soon.timeout.connect(self._ask)
        self._answered.connect(self._take)
        self._speed_known.connect(self.ask_again)
        for signal in (reviewing.changed, desk.checkpoint_changed, desk.session_changed):
            signal.connect(self._stirred)

    @property
    def replay(self) -> tuple[Path, ...]:
        """Folders of labelled data that other tasks are replayed from, in the form that does so."""
        return (self.labelled,) if self.labelled is not None and self.form == "shared" else ()

    @property
    def found(self) -> Foreseen | None:
        """What is foreseen of the task and model on the desk; None while it is not known."""
        question = self._question()
        return self._found[1] if self._found is not None and self._found[0] == question else None

    def choose_form(self, form: Form) -> None:
        """Foresee the other form of fine-tuning."""
        self.form = form
        self._stirred()
        self.changed.emit()

    def choose_labelled(self, folder: Path | None) -> None:
        """Foresee learning together with the labelled data in this folder, or without any."""
        self.labelled = folder
        self._stirred()
        self.changed.emit()

    def ask_again(self) -> None:
        """Look again, for the line of models has changed, or this computer's speed is known now."""
        self._asked = None
        if not self._closed:
            self._soon.start()

    def close(self) -> None:
        """End the thread and the trial; safe to call twice."""
        self._closed = True
        self._soon.stop()
        if (child := self._child) is not None:
            with contextlib.suppress(OSError):
                child.kill()
        self._thread.stop(0.2)
        self._trial.stop(0.2)

    def _question(self) -> Question | None:
        desk, holdings = self.desk, self.reviewing.holdings
        if desk.task is None or desk.checkpoint is None or holdings is None or not holdings.training:
            return None
        checkpoint = desk.checkpoint
        return Question(
            self.autosave.folder,
            desk.task.id,
            holdings.training,
            checkpoint.path,
            checkpoint.card.id,
            self.form,
            self.replay,
        )

    def _stirred(self) -> None:
        if not self._closed and self._question() != self._asked:
            self._soon.start()

    def _ask(self) -> None:
        question = self._question()
        if question is None or question == self._asked or self.autosave.under_way:
            if self.autosave.under_way:
                self._soon.start()
            return
        self._asked, registry = question, self.desk.tasks
        self._thread.submit(lambda: self._look(question, registry))

    # -- in the thread -----------------------------------------------------------------------------------------------
    def _look(self, question: Question, registry: TaskRegistry) -> None:
        found = _foresee(question, registry)
        send(self, "_answered", question, found)
        unknown = found.estimate is not None and found.estimate.seconds is None
        if unknown and question.form not in self._measured and not self._thread.stopping:
            self._measured.add(question.form)
            self._trial.submit(lambda: self._measure(question, found.base))

    def _measure(self, question: Question, base: Path) -> None:
        """Have a child measure this computer; where that fails, there is no figure, and nothing else is lost."""
        words = ["-m", "m2dino", "finetune", str(question.dataset), "--task", question.task_id]
        words += ["--checkpoint", str(base), "--form", question.form, "--estimate", "--json-lines"]
        for folder in question.replay:
            words += ["--replay", str(folder)]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._child = subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                self._child.wait(MEASURE_S)
            finally:
                self._child.kill()
                self._child.wait()
                self._child = None
        send(self, "_speed_known")

    # -- on the GUI thread -------------------------------------------------------------------------------------------
    def _take(self, question: Question, found: Foreseen) -> None:
        self._found = (question, found)
        if question == self._question():
            self.changed.emit()
        else:  # what is on the desk now was not asked, if that was on its way when this was
            self._stirred()


def _beside(store: Store, base: Path, question: Question) -> set[str]:
    """Return the tasks that could learn beside this one; none where their data cannot be used now."""
    with contextlib.suppress(M2DinoError):
        card = read_card(base)
        return {*replayable(store, card, question.task_id), *rows_to_replay(card, question.task_id, question.replay)}
    return set()


def _foresee(question: Question, registry: TaskRegistry) -> Foreseen:
    base = question.checkpoint
    try:
        if (start := read_lineage(question.dataset).start_for(question.task_id, question.model_id)) is not None:
            base = start.file
        with Store.open(question.dataset) as store:
            told = estimate(store, base, question.task_id, question.form, replay=question.replay)
            others = _beside(store, base, question)
        advice = advise_finetune(question.dataset, registry, question.task_id, others)
    except MissingPicturesError as error:
        frames = sum(map(len, error.frames.values()))
        which = (
            "The picture of 1 labelled frame has" if frames == 1 else f"The pictures of {frames} labelled frames have"
        )
        return Foreseen(base, trouble=f"{which} gone from the dataset folder. The loops have them still.", lost=True)
    except NothingToReplayError:
        return Foreseen(base, trouble=NOTHING_TO_REPLAY)
    except StoreError:
        return Foreseen(base)  # the folder is told of where it is saved to
    except M2DinoError as error:
        return Foreseen(base, trouble=str(error))
    return Foreseen(base, told, advice=advice.text() if advice else "")
