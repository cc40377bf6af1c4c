"""What the shared form of fine-tuning rehearses, so that other tasks are not forgotten, and measures them by.

Labelled data of the base's other tasks come from folders that a person names, and from corrections of those tasks in
the same store. Both are divided: what is held out never trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from m2dino.cine.opening import open_loop
from m2dino.data.records import Record
from m2dino.data.rows import Row
from m2dino.data.samples import CorrectedFrame
from m2dino.data.store import Store
from m2dino.errors import TrainingError
from m2dino.evaluation import model_source, score_rows
from m2dino.network.card import ModelCard
from m2dino.predictor import Model
from m2dino.progress import ShouldStop, never_stop
from m2dino.scoring.task_scores import TaskScores, summarise
from m2dino.tasks import Task
from m2dino.training.corrections import Corrections, corrections, replayable
from m2dino.training.data import gather
from m2dino.training.finetune_common import FinetuneProgress, OnFinetuneProgress, score_heldout
from m2dino.training.pictures import STOPPED
from m2dino.training.refusals import refuse_no_replay
from m2dino.training.replay_folders import HELD_OUT, known_tasks


@dataclass(frozen=True)
class Replay:
    """Labelled data of other tasks than the one that is fine-tuned.

    Attributes
    ----------
    train : list of Row or CorrectedFrame
    val : list of Row
        Held-out rows of the folders.
    tasks : dict of str to Task
        The tasks of `train`.
    corrected : dict of str to Corrections
        Those that come from the store.
    """

    train: list[Row | CorrectedFrame] = field(default_factory=list)
    val: list[Row] = field(default_factory=list)
    tasks: dict[str, Task] = field(default_factory=dict)
    corrected: dict[str, Corrections] = field(default_factory=dict)

    @property
    def held_out(self) -> int:
        """How many pictures the other tasks are measured on."""
        return len(self.val) + sum(len(data.heldout) for data in self.corrected.values())


def gather_replay(
    card: ModelCard,
    data: Corrections,
    roots: Sequence[Path],
    store: Store,
    on_progress: OnFinetuneProgress = lambda progress: None,
    should_stop: ShouldStop = never_stop,
) -> Replay:
    """Return what can be replayed of the base's other tasks than that of `data`, divided by subject.

    A frame that is held out for a task does not train in another, and one that trains is not measured on, be it in the
    store or a picture of the folders.

    Raises
    ------
    NothingToReplayError
        There is no data of any other task that the base knows.
    DatasetError, StoreError
        The data is not sound.
    TrainingError
        Stopped.
    """

    def show(done: int, total: int, text: str) -> None:
        # Every picture of the folders is decoded, which takes minutes for a large set.
        if should_stop():
            raise TrainingError(STOPPED)
        on_progress(FinetuneProgress(0, 1, f"looking at the data to replay: {done} / {total}"))

    task_id = data.task.id
    corrected = {name: _apart(corrections(store, name), data) for name in replayable(store, card, task_id)}
    train: list[Row | CorrectedFrame] = []
    val: list[Row] = []
    tasks = {name: other.task for name, other in corrected.items()}
    others = [name for name in card.tasks if name != task_id]
    if roots:
        found = gather(roots, known_tasks(card), val_fraction=HELD_OUT, on_progress=show)
        rows = found.only([name for name in others if name in found.tasks])
        here = [data, *corrected.values()]
        held, learnt = _loops(here, "heldout"), _loops(here, "train")
        # Once for each picture: most have rows of several tasks.
        images = {row.image for row in (*rows.train, *rows.val)}
        known: dict[Path, str] = {}
        for image in images:
            show(len(known), len(images), "")
            known[image] = _identity(image)
        kept = [row for row in rows.train if known[row.image] not in held]
        train += kept
        left = {row.task_id for row in kept}
        val = [row for row in rows.val if row.task_id in left and known[row.image] not in learnt]
        tasks = {**{name: task for name, task in rows.tasks.items() if name in left}, **tasks}
    train += [CorrectedFrame(store, record) for other in corrected.values() for record in other.train]
    refuse_no_replay(card, task_id, bool(train))
    return Replay(train, val, tasks, corrected)


def _loops(of: Sequence[Corrections], side: Literal["train", "heldout"]) -> set[str]:
    """Return the loops whose first frame is on one side: a picture of a folder is a loop of one frame."""
    records = [record for one in of for record in (one.train if side == "train" else one.heldout)]
    return {record.loop_id for record in records if record.frame == 0}


def _identity(image: Path) -> str:
    """Return what the store would know a picture by (see `store_import`)."""
    loop = open_loop(image)
    try:
        return loop.identity
    finally:
        loop.close()


def _apart(other: Corrections, data: Corrections) -> Corrections:
    """Leave out the frames of another task that are on the other side in this one."""

    def keys(records: Sequence[Record]) -> set[tuple[str, int]]:
        return {(record.loop_id, record.frame) for record in records}

    held, trained = keys(data.heldout), keys(data.train)
    return replace(
        other,
        train=[record for record in other.train if (record.loop_id, record.frame) not in held],
        heldout=[record for record in other.heldout if (record.loop_id, record.frame) not in trained],
    )


def score_replay(
    model: Model,
    store: Store,
    replay: Replay,
    on_progress: OnFinetuneProgress,
    should_stop: ShouldStop = never_stop,
) -> dict[str, TaskScores]:
    """Score the model on the held-out pictures of every replayed task; stopped, it returns those that were finished."""

    def show(done: int, total: int, text: str) -> None:
        on_progress(FinetuneProgress(0, 1, text))

    tasks = {row.task_id: replay.tasks[row.task_id] for row in replay.val}
    source = model_source(model, should_stop)
    scores = score_rows(source, replay.val, tasks, on_progress=show, should_stop=should_stop)
    for name, data in replay.corrected.items():
        show(0, 0, f"measuring {name}")
        own = score_heldout(model, store, data, should_stop)
        if own is None:
            if data.heldout:  # stopped: half of a task's pictures would be compared with all of them
                scores.pop(name, None)
            continue
        scores[name] = summarise(own.task, [*scores[name].images, *own.images]) if name in scores else own
    return scores
