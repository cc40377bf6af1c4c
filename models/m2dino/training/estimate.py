"""What a fine-tune would do, before it is begun: for a button that says so. Nothing is written, and torch not imported.

The seconds come from what fine-tunes, or a short trial (`trial.measure_speed`), took on this computer; where neither
has run there is no figure, and the text says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m2dino.data.store_reader import StoreReader
from m2dino.network.card import read_card
from m2dino.training.apart import held_for_any, plan_apart
from m2dino.training.cautions import leaning, leaning_in_words
from m2dino.training.corrections import definition, measurable, plan, replayable
from m2dino.training.finetune_settings import FinetuneSettings, Form
from m2dino.training.refusals import refuse_no_replay, refuse_other_task, refuse_replay_alone
from m2dino.training.replay_folders import HELD_OUT, rows_to_replay
from m2dino.training.speed import key_of, remembered

ISOLATED = "Only what this task owns learns: no other task can change."
"""What becomes of other tasks in the isolated form, where none is read together with what this one outlines."""


@dataclass(frozen=True)
class Estimate:
    """What a fine-tune would do.

    Attributes
    ----------
    form : str
        isolated or shared.
    frames : int
        Corrected frames that it would learn from.
    loops : int
        Loops that they and the held-out ones are of; loops of one subject count once.
    held_out : int
        Frames that it would be measured on.
    seconds : float or None
        How long it would take; None where nothing was measured on this computer.
    text : str
        All of it for a person.
    cautions : tuple of str
        What the labels leave out, and what the held-out frames cannot vouch for.
    replayed : tuple of str
        Other tasks that would be replayed, from the store or from folders (shared form).
    unseen : tuple of str
        Tasks that could change and could not be measured, for nothing of theirs is there.
    leaning : tuple of str
        Tasks that are read together with what the task outlines, and so can change in the isolated form, too.
    """

    form: Form
    frames: int
    loops: int
    held_out: int
    seconds: float | None
    text: str
    cautions: tuple[str, ...] = ()
    replayed: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    leaning: tuple[str, ...] = ()

    @property
    def of_others(self) -> str:
        """What becomes of the tasks that are not fine-tuned, for a person."""
        if self.form == "isolated":
            return self._of_leaning() if self.leaning else ISOLATED
        if not self.replayed:
            return "Experts and gates learn, too; the model knows no other task."
        are, they = ("is", "it") if len(self.replayed) == 1 else ("are", "they")
        told = f"Experts and gates learn, too, while {', '.join(self.replayed)} {are} replayed. "
        told += f"{they.capitalize()} can change, for better or worse, and {are} measured before and after."
        if not self.unseen:
            return told
        count = len(self.unseen)
        more, of_them = ("1 more task", "it") if count == 1 else (f"{count} more tasks", "them")
        return f"{told} {more} of the model can change unseen: there are no data of {of_them} here."

    def _of_leaning(self) -> str:
        told = f"{ISOLATED.removesuffix('.')} but {', '.join(self.leaning)}, whose points are read with its outline"
        if self.unseen:
            return f"{told}: unseen, for there are no data of {', '.join(self.unseen)} here."
        return f"{told} and are measured before and after."


def estimate(
    store: StoreReader,
    checkpoint: Path,
    task_id: str,
    form: Form = "isolated",
    *,
    settings: FinetuneSettings | None = None,
    device: str = "cpu",
    replay: Sequence[Path] = (),
    cache: Path | None = None,
) -> Estimate:
    """Say what a fine-tune would do, or refuse as it would.

    Parameters
    ----------
    store : StoreReader
    checkpoint : Path
        That it would start from.
    task_id : str
    form : str
        isolated or shared.
    settings : FinetuneSettings, optional
    device : str
        Type of the device that it would run on: cpu, cuda or mps.
    replay : sequence of Path
        Labelled data of other tasks (shared form).
    cache : Path, optional
        Folder of the measured speeds; by default in the user's cache.

    Raises
    ------
    TooLittleDataError, OneClassError
        The frames are too few, or their labels say nothing.
    OtherTaskError
        The checkpoint knows the task with another type or number of classes.
    NothingToReplayError
        The shared form has nothing to replay.
    UsageError
        The isolated form is given data to replay.
    DatasetError, MissingFileError
        A folder of `replay` is not sound.
    NotACheckpointError, MissingPicturesError, StoreError
    """
    settings = settings or FinetuneSettings()
    refuse_replay_alone(form, replay)
    division = plan(store, task_id)
    card = read_card(checkpoint)
    refuse_other_task(checkpoint, card, division.task)
    task = definition(card, division.task)
    leant = leaning((one.task for one in card.tasks.values()), task)
    others, replayed = set[str](), 0
    if form == "shared":
        corrected, rows = replayable(store, card, task_id), rows_to_replay(card, task_id, replay)
        others = {*corrected, *rows}
        refuse_no_replay(card, task_id, bool(others))
        plans = [division, *(plan(store, name) for name in corrected)]
        replayed = sum(len(one.heldout) for one in plans[1:]) + round(HELD_OUT * sum(rows.values()))
        held = held_for_any(store, ((row.loop_id, row.frame) for one in plans for row in one.heldout))
        division = plan_apart(store, division, held)
        unseen = set(card.tasks) - others - {task_id}
    else:
        measured = measurable(store, card, leant, division.train)
        replayed, unseen = sum(measured.values()), set(leant) - set(measured)
    speed = remembered(key_of(card, task, form, device), cache)
    known = task_id in card.tasks
    frames, held_out = len(division.train), len(division.heldout)
    seconds = None if speed is None else speed.seconds(settings, form, known, frames, held_out, replayed)
    where = {"cpu": "this CPU", "cuda": "this GPU", "mps": "this GPU"}.get(device, device)
    time = f"time on {where} not measured yet" if seconds is None else f"about {_rounded(seconds)} on {where}"
    text = f"train on {division.text()}, task {task_id}; {time}"
    cautions = (*division.cautions(), *filter(None, [leaning_in_words(leant, task_id)]))
    told = tuple(sorted(others)), tuple(sorted(unseen)), leant if form == "isolated" else ()
    return Estimate(form, frames, division.loops, held_out, seconds, text, cautions, *told)


def _rounded(seconds: float) -> str:
    if seconds < 100:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{round(seconds / 60)} min"
