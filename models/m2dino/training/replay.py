"""What the shared form of fine-tuning rehearses, so that other tasks are not forgotten, and measures them by.

Labelled data of the base's other tasks come from folders that a person names, and from corrections of those tasks in
the same store. Both are divided: what is held out never trains.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from m2dino.cine.opening import open_loop
from m2dino.data.picture_names import picture_name
from m2dino.data.records import Key, Record
from m2dino.data.rows import Row
from m2dino.data.samples import CorrectedFrame
from m2dino.data.splits import subjects
from m2dino.data.store import Store
from m2dino.errors import TrainingError
from m2dino.evaluation import model_source, score_rows
from m2dino.network.card import ModelCard
from m2dino.predictor import Model
from m2dino.progress import ShouldStop, never_stop
from m2dino.scoring.task_scores import TaskScores, summarise
from m2dino.tasks import Task
from m2dino.training.apart import corrections_apart, held_for_any, without
from m2dino.training.corrections import Corrections, corrections, definition, replayable
from m2dino.training.data import TrainingData
from m2dino.training.finetune_common import FinetuneProgress, OnFinetuneProgress, score_heldout
from m2dino.training.pictures import STOPPED
from m2dino.training.refusals import refuse_no_replay
from m2dino.training.replay_folders import divided, known_tasks


@dataclass(frozen=True)
class Replay:
    """Labelled data of other tasks than the one that is fine-tuned, kept apart from it.

    Attributes
    ----------
    own : Corrections
        Of the task that is fine-tuned, without what other tasks hold out.
    train : list of Row or CorrectedFrame
    val : list of Row
        Held-out rows of the folders.
    tasks : dict of str to Task
        The tasks of `train`.
    corrected : dict of str to Corrections
        Those that come from the store.
    """

    own: Corrections
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

    A frame that is held out for any task trains in no other, the fine-tuned one included, be it in the store or a
    picture of the folders; one that trains is not measured on. Pictures are compared by what they show.

    Raises
    ------
    NothingToReplayError
        There is no data of any other task that the base knows.
    TooLittleDataError, OneClassError
        What other tasks do not hold out is too little to learn from.
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
    corrected = {name: corrections(store, name) for name in replayable(store, card, task_id)}
    held = held_for_any(store)
    own = corrections_apart(store, data, held)
    corrected = {
        name: replace(other, task=definition(card, other.task), train=without(other.train, held))
        for name, other in corrected.items()
    }
    train: list[Row | CorrectedFrame] = []
    val: list[Row] = []
    tasks = {name: other.task for name, other in corrected.items()}
    others = [name for name in card.tasks if name != task_id]
    if roots:
        found = divided(roots, known_tasks(card), show)
        rows = found.only([name for name in others if name in found.tasks])
        learnt = {key for one in (own, *corrected.values()) for key in _keys(one.train)}
        names = store.picture_names()
        vouching, known_learnt = _known_as(held, names), _known_as(learnt, names)
        # Once for each picture: most have rows of several tasks.
        images = {row.image for row in (*rows.train, *rows.val)}
        sizes = {store.frame_size(*key) for key in held | learnt}
        known: dict[Path, set[str]] = {}
        for image in images:
            show(len(known), len(images), "")
            known[image] = _shown(image, sizes)
        kept, beside = _as_in_store(rows, known, vouching, known_learnt)
        train += kept
        left = {row.task_id for row in kept}
        # What the store measures a task on already, it is not measured on twice.
        twice = {name: _known_as(_keys(other.heldout), names) for name, other in corrected.items()}
        val = [
            row for row in beside if row.task_id in left and known[row.image].isdisjoint(twice.get(row.task_id, set()))
        ]
        tasks = {**{name: task for name, task in rows.tasks.items() if name in left}, **tasks}
    train += [CorrectedFrame(store, record) for other in corrected.values() for record in other.train]
    refuse_no_replay(card, task_id, bool(train))
    return Replay(own, train, val, tasks, corrected)


def _as_in_store(
    rows: TrainingData, known: Mapping[Path, set[str]], vouching: set[str], learnt: set[str]
) -> tuple[list[Row], list[Row]]:
    """Return which rows train and which are measured on, where the store holds out and learns some of the pictures."""
    keys = subjects([*rows.train, *rows.val])
    placed = list(zip([*rows.train, *rows.val], keys, strict=True))
    seen = {key for row, key in placed if known[row.image] & learnt}
    held = {key for row, key in placed if known[row.image] & vouching} - seen
    of_train, of_val = placed[: len(rows.train)], placed[len(rows.train) :]
    train = [row for row, key in of_train if key not in held and known[row.image].isdisjoint(vouching)]
    return train, [row for row, key in of_train if key in held] + [row for row, key in of_val if key not in seen]


def _keys(records: Sequence[Record]) -> set[Key]:
    return {(record.loop_id, record.frame) for record in records}


def _known_as(keys: Iterable[Key], names: Mapping[Key, str]) -> set[str]:
    """Return what pictures of folders are known by if they are these frames: a picture is a loop of one frame."""
    keys = set(keys)
    return {loop_id for loop_id, frame in keys if frame == 0} | {names[key] for key in keys if key in names}


def _shown(image: Path, sizes: Container[tuple[int, int] | None]) -> set[str]:
    """Return what the store would know a picture by; what it shows only if the store has frames of its size."""
    loop = open_loop(image)
    try:
        return {loop.identity, picture_name(loop[0])} if (loop.height, loop.width) in sizes else {loop.identity}
    finally:
        loop.close()


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
