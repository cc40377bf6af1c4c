"""The corrected frames of a task that may train, divided for good into training and held-out ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from m2dino.data.own_tasks import is_numbered
from m2dino.data.records import Key, Record
from m2dino.data.store import Rule, Store
from m2dino.data.store_reader import StoreReader, TrainingRow, fingerprint_of
from m2dino.data.value_files import decode_region
from m2dino.errors import MissingPicturesError, TooLittleDataError
from m2dino.network.card import ModelCard
from m2dino.tasks import Task
from m2dino.training.cautions import label_cautions
from m2dino.training.holdout import assign, units_of
from m2dino.training.refusals import (
    refuse_missing_pictures,
    refuse_nothing_to_learn,
    refuse_one_side,
    refuse_too_few,
)

SAME_LOOP = (
    "Frames of the same loop or subject are trained on and held out, so the figures say little of other loops; correct "
    "frames of at least three."
)
ONE_LOOP = "All held-out frames are of one loop or subject, so the figures hold for it alone."


@dataclass(frozen=True)
class Division:
    """The frames of a task that train by default, divided, without their labels.

    Attributes
    ----------
    task : Task
    train, heldout : list of TrainingRow
    units : dict of str to str
        The unit of each loop (see `holdout`).
    of_labels : tuple of str
        What the labels to learn from leave out (see `cautions`).
    """

    task: Task
    train: list[TrainingRow]
    heldout: list[TrainingRow]
    units: dict[str, str]
    of_labels: tuple[str, ...] = ()

    @property
    def loops(self) -> int:
        """How many loops the frames are of; loops of one subject count once."""
        return len({self.units[row.loop_id] for row in [*self.train, *self.heldout]})

    def text(self) -> str:
        """Say it for a person: "23 corrected frames of 4 loops (5 more are held out)"."""
        shared = len(set(self.units.values())) < len(self.units)
        word = "subject" if shared else "loop"
        more = f"{len(self.heldout)} more {'is' if len(self.heldout) == 1 else 'are'} held out"
        return (
            f"{len(self.train)} corrected frame{'' if len(self.train) == 1 else 's'} of {self.loops} "
            f"{word}{'' if self.loops == 1 else 's'} ({more})"
        )

    def cautions(self) -> tuple[str, ...]:
        """Say what the labels leave out, and what the held-out frames cannot vouch for."""
        held = {self.units[row.loop_id] for row in self.heldout}
        if held & {self.units[row.loop_id] for row in self.train}:
            return (*self.of_labels, SAME_LOOP)
        return (*self.of_labels, ONE_LOOP) if len(held) == 1 else self.of_labels


@dataclass(frozen=True)
class Corrections:
    """The corrected frames of a task, divided.

    Attributes
    ----------
    task : Task
    train, heldout : list of Record
    loops : int
        How many loops the frames are of; loops of one subject count once.
    fingerprint : str
        Hash over all the frames and their labels, of the moment when they were divided.
    cautions : tuple of str
        What the labels leave out, and what the held-out frames cannot vouch for.
    rows : tuple of TrainingRow
        All of them, as they were at that moment.
    """

    task: Task
    train: list[Record]
    heldout: list[Record]
    loops: int = 1
    fingerprint: str = ""
    cautions: tuple[str, ...] = field(default=())
    rows: tuple[TrainingRow, ...] = field(default=(), repr=False)


def plan(store: StoreReader, task_id: str) -> Division:
    """Return how `corrections` would divide the frames now; nothing is fixed, and each label is read once at most.

    Raises
    ------
    TooLittleDataError, OneClassError, MissingPicturesError, StoreError
        What `corrections` would raise.
    """
    rows = store.training_rows(task_id)
    names = store.picture_names()
    held = _rule(store, task_id, names)(rows, store.holdout(task_id), store.groups(task_id))
    division = _divided(store, task_id, rows, held, names)
    refuse_nothing_to_learn(division.task, division.train, store.value)
    refuse_missing_pictures(store.folder, store.missing_pictures(task_id))
    return replace(division, of_labels=label_cautions(store, division.task, division.train))


def corrections(store: Store, task_id: str) -> Corrections:
    """Return the frames of a task that may train, divided for good into training and held-out ones.

    It is a snapshot: what others save meanwhile is either all in it or not at all.

    Raises
    ------
    TooLittleDataError
        Fewer than four, none on one side, or labels that say nothing.
    OneClassError
        A classification with one class only.
    MissingPicturesError
        Pictures have gone from the store (see `m2dino.data.bring_back`).
    StoreError, StoreWriteError
    """
    plan(store, task_id)  # refuses before anything is fixed
    rows, held = store.divide(task_id, _rule(store, task_id))
    division = _divided(store, task_id, rows, held, store.picture_names())
    division = replace(division, of_labels=label_cautions(store, division.task, division.train))

    def records(chosen: Sequence[TrainingRow]) -> list[Record]:
        return [
            Record(
                row.loop_id,
                row.frame,
                task_id,
                "accepted",
                store.value(row),
                group=division.units[row.loop_id],
                region=decode_region(row.value),
            )
            for row in chosen
        ]

    return Corrections(
        division.task,
        records(division.train),
        records(division.heldout),
        division.loops,
        fingerprint_of(rows),
        division.cautions(),
        tuple(rows),
    )


def definition(card: ModelCard, task: Task) -> Task:
    """Return what a fine-tune takes a task for: as the store has it, or as the base where the store only counts labels.

    Labels that were imported without a task file come as "point 1", "point 2", …: taken for the task's definition, they
    would take names, pairs and outline away from a model that has them.
    """
    return card.tasks[task.id].task if task.id in card.tasks and is_numbered(task) else task


def measurable(
    store: StoreReader, card: ModelCard, names: Iterable[str], train: Iterable[Record | TrainingRow]
) -> dict[str, int]:
    """Count the held-out frames that the store has of some tasks of a checkpoint; tasks without any are left out.

    Parameters
    ----------
    store : StoreReader
    card : ModelCard
    names : iterable of str
        Tasks that are not trained.
    train : iterable of Record or TrainingRow
        What another task trains on, which is not measured on.

    Raises
    ------
    StoreError
    """
    trained, counts = {(row.loop_id, row.frame) for row in train}, dict[str, int]()
    for name in names:
        if _known_alike(store, card, name):
            with suppress(TooLittleDataError, MissingPicturesError):
                counts[name] = sum((row.loop_id, row.frame) not in trained for row in plan(store, name).heldout)
    return {name: count for name, count in counts.items() if count}


def replayable(store: StoreReader, card: ModelCard, task_id: str) -> list[str]:
    """Return the other tasks that a checkpoint knows and that the store has enough corrections of, sorted."""
    found = []
    for name in sorted(store.tasks()):
        if name == task_id or not _known_alike(store, card, name):
            continue
        with suppress(TooLittleDataError):
            plan(store, name)
            found.append(name)
    return found


def _known_alike(store: StoreReader, card: ModelCard, name: str) -> bool:
    """Whether store and checkpoint both know a task, as one of the same type and number of labels."""
    mine, known = store.tasks().get(name), card.tasks.get(name)
    return mine is not None and known is not None and known.task.agrees_with(mine)


def _rule(store: StoreReader, task_id: str, names: Mapping[Key, str] | None = None) -> Rule:
    """Return how the frames of a task are divided, which refuses too few; `names` as of `Store.picture_names`."""

    def rule(
        rows: Sequence[TrainingRow], fixed: Mapping[Key, bool], groups: Iterable[tuple[str, str]]
    ) -> dict[Key, bool]:
        refuse_too_few(task_id, rows, task_id in store.tasks())
        # Read now, if they were not given: of a frame that was saved since, the name is there as well.
        known = store.picture_names() if names is None else names
        keys = [(row.loop_id, row.frame) for row in rows]
        return assign(keys, fixed, _units(groups, {*keys, *fixed}, known), known)

    return rule


def _units(groups: Iterable[tuple[str, str]], keys: Iterable[Key], names: Mapping[Key, str]) -> dict[str, str]:
    """Return the unit of each loop: loops that share a subject, or a picture of these frames, are of one."""
    return units_of([*groups, *((key[0], f"picture {names[key]}") for key in keys if key in names)])


def _divided(
    store: StoreReader,
    task_id: str,
    rows: Sequence[TrainingRow],
    held: Mapping[Key, bool],
    names: Mapping[Key, str],
) -> Division:
    fixed = store.holdout(task_id)
    vouching = {names[key] for key, side in {**fixed, **held}.items() if side and key in names}
    # A store may have divided equal pictures before they were compared: held out once, none of them trains any more.
    train = [
        row
        for row in rows
        if not held[row.loop_id, row.frame] and names.get((row.loop_id, row.frame), "") not in vouching
    ]
    heldout = [row for row in rows if held[row.loop_id, row.frame]]
    refuse_one_side(task_id, len(rows), len(heldout) if train else len(rows))
    keys = {*fixed, *((row.loop_id, row.frame) for row in rows)}
    return Division(store.tasks()[task_id], train, heldout, _units(store.groups(task_id), keys, names))
