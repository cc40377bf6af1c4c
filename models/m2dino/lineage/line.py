"""Which model of a dataset folder is in use, how it came to that, and what can be done with each.

The models in use form a stack: promoting puts one on top, rolling back takes off. The checkpoints themselves are never
changed but for one thing: where a person takes a model into use that the guard speaks against, its card says so.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from m2dino.data.durable import clear_parts
from m2dino.errors import HarmError, LineageError, M2DinoError
from m2dino.lineage.acts import Act, Ledger, read_acts, writing
from m2dino.lineage.harm import accept, accepted, objections
from m2dino.lineage.left_behind import left_behind
from m2dino.network.card import ModelCard, bundled_checkpoint, read_card

CHECKPOINTS = "checkpoints"
"""The folder of a dataset folder that fine-tuned checkpoints and the line's acts lie in."""
BUNDLED = "bundled"
State = Literal["in use", "undecided", "kept aside", "used before", "taken back", "base"]
STALE_S = 3600.0


@dataclass(frozen=True)
class LineModel:
    """One model of the line.

    Attributes
    ----------
    id : str
    file : Path
    card : ModelCard or None
        None where the file has gone.
    state : str
    made : str
        UTC, ISO 8601; of its training, or else of its file. Empty for one that was not made here.
    parent : str
        Id of the model that it was trained from.
    train, heldout, loops : int or None
        Frames that it learnt from and was measured on, and their loops; None where nothing tells.
    objections, accepted : tuple of str
        What speaks against using it: what the guard found, and what the model in use has learnt and it has not. And
        what of that a person has accepted.
    """

    id: str
    file: Path
    card: ModelCard | None
    state: State
    made: str = ""
    parent: str = ""
    train: int | None = None
    heldout: int | None = None
    loops: int | None = None
    objections: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """The models of a dataset folder.

    Attributes
    ----------
    models : tuple of LineModel
        In the order in which they were made, the base first.
    used : tuple of str
        Ids of the models in use one after the other; the last is in use now. Empty before the first promotion.
    acts : tuple of Act
        All that was ever done, oldest first.
    """

    models: tuple[LineModel, ...] = ()
    used: tuple[str, ...] = ()
    acts: tuple[Act, ...] = field(default=(), repr=False)

    @property
    def in_use(self) -> LineModel | None:
        """The model in use; None before the first promotion, or where its file has gone."""
        found = self.get(self.used[-1]) if self.used else None
        return found if found is not None and found.card is not None else None

    @property
    def gone(self) -> str:
        """The id of the model in use where its file has gone or is damaged; else empty."""
        return self.used[-1] if self.used and self.in_use is None else ""

    @property
    def before(self) -> LineModel | None:
        """The model that `roll_back` goes back to; None where there is none."""
        below = (self.get(one) for one in reversed(self.used[:-1]) if one != self.used[-1])
        return next((one for one in below if one is not None and one.card is not None), None)

    def get(self, model_id: str) -> LineModel | None:
        """Return a model by its id."""
        return next((one for one in self.models if one.id == model_id), None)

    def at(self, file: Path) -> LineModel | None:
        """Return a model by its file."""
        return next((one for one in self.models if one.file == file), None)

    def start_for(self, task_id: str, model_id: str) -> LineModel | None:
        """Return the model to fine-tune a task from, where another is in use: the last one before the task's own.

        A task learns from the base and all of its corrections so far, never from its last model and the last frames.
        """
        one = self.get(model_id)
        while one is not None and one.card is not None and one.card.training.get("task") == task_id:
            parent = self.get(one.parent)
            if parent is None or parent.card is None:
                break
            one = parent
        return one

    def learnt_here(self, task_id: str, model_id: str) -> int:
        """Return how many frames of this folder a model's card counts among those that it has learnt a task from."""
        one, seen = self.get(model_id), set[str]()
        while one is not None and one.id not in seen:
            if one.train is not None and one.card is not None and one.card.training.get("task") == task_id:
                return one.train
            seen.add(one.id)
            one = self.get(one.parent)
        return 0


def checkpoint_folder(dataset: Path) -> Path:
    """Return where the checkpoints that were fine-tuned on a dataset folder are kept."""
    return dataset / CHECKPOINTS


def read_lineage(dataset: Path) -> Lineage:
    """Read the line of a dataset folder.

    A checkpoint in its folder belongs to the line even where a kill kept it from being entered.

    Raises
    ------
    StoreError
        The acts cannot be read.
    """
    folder = checkpoint_folder(dataset)
    acts = read_acts(folder)
    used = _used(acts)
    made = {act.model: act for act in acts if act.kind == "trained"}
    files: dict[str, Path] = {}
    for act in acts:
        for name, place in ((act.other, act.other_file), (act.model, act.file)):
            if name and place:
                files.setdefault(name, _path(folder, place))
    cards = {name: _card(file, name) for name, file in files.items()}
    for file in sorted(folder.glob("*.safetensors")):
        with contextlib.suppress(M2DinoError):
            card = read_card(file)
            if cards.get(card.id) is None:
                files[card.id], cards[card.id] = file, card
    with contextlib.suppress(M2DinoError):
        bundled = bundled_checkpoint()
        card = read_card(bundled)
        if card.id in files or any(one is not None and one.parent_id == card.id for one in cards.values()):
            files[card.id], cards[card.id] = bundled, card
    models = []
    for name, file in files.items():
        known, trained = cards[name], made.get(name)
        note = trained.note if trained else {}
        parent = known.parent_id if known else trained.other if trained else ""
        ours = trained is not None or file.parent == folder
        models.append(
            LineModel(
                name,
                file,
                known,
                _state(name, acts, used) if ours else _base_state(name, used),
                trained.at if trained else _written(file) if ours else "",
                parent if ours else "",
                note.get("train"),
                note.get("heldout"),
                note.get("loops"),
                _against(known),
                tuple(accepted(known)) if known else (),
            )
        )
    line = Lineage(tuple(sorted(models, key=lambda one: (one.made, one.id))), used, tuple(acts))
    return replace(line, models=tuple(_weighed(line, one) for one in line.models))


def _weighed(line: Lineage, one: LineModel) -> LineModel:
    """Add to the objections to a model what using it now would lose."""
    if one.card is None or one.state == "base":
        return one
    return replace(one, objections=(*one.objections, *left_behind(line, one.card)))


def record_trained(dataset: Path, file: Path, base: Path, *, train: int, heldout: int, loops: int) -> None:
    """Enter a checkpoint that was just fine-tuned into the line.

    Raises
    ------
    NotACheckpointError, StoreError
    """
    folder = checkpoint_folder(dataset)
    card, old = read_card(file), read_card(base)
    with writing(folder) as ledger:
        note = {"train": train, "heldout": heldout, "loops": loops}
        ledger.add(Act("trained", card.id, _name(folder, file), old.id, _name(folder, base), note))
    _clear(folder)


def promote(dataset: Path, file: Path, *, despite_harm: bool = False) -> Lineage:
    """Take a model into use; where something speaks against it, only knowingly, and its card then says so.

    The guard's findings speak against it, and that the model in use has learnt what this one would take away again.

    Raises
    ------
    HarmError
        The guard speaks against it and `despite_harm` is not given; nothing was changed.
    NotACheckpointError, CheckpointWriteError, StoreError
        Nothing was changed but, at most, that the card tells of the harm that was accepted.
    """
    folder = checkpoint_folder(dataset)
    card = read_card(file)
    said = [*objections(card), *left_behind(read_lineage(dataset), card)]
    if said and not despite_harm:
        raise HarmError(
            f"{file}: not taken into use, for this speaks against it. {' '.join(said)} It can be kept aside; to "
            "use it all the same, say so (--despite-harm): its card will tell.",
            said,
        )
    with writing(folder) as ledger:
        used = _used(ledger.acts)
        if not used or used[-1] != card.id:
            if said:
                accept(file, card, said)
            other, place = (used[-1], "") if used else _base_of(folder, ledger, card)
            ledger.add(Act("promoted", card.id, _name(folder, file), other, place, {"harm": said} if said else {}))
    return read_lineage(dataset)


def keep_aside(dataset: Path, file: Path) -> Lineage:
    """Keep a model without using it.

    Raises
    ------
    LineageError
        It is in use.
    NotACheckpointError, StoreError
    """
    folder = checkpoint_folder(dataset)
    card = read_card(file)
    with writing(folder) as ledger:
        used = _used(ledger.acts)
        if used and used[-1] == card.id:
            raise LineageError(f"{file}: this model is in use; roll back, or promote another, before it is kept aside.")
        ledger.add(Act("kept aside", card.id, _name(folder, file)))
    return read_lineage(dataset)


def roll_back(dataset: Path, to: str = "") -> Lineage:
    """Go back to the model that was in use before, or to an earlier one.

    Parameters
    ----------
    dataset : Path
    to : str
        Id of a model that was in use; by default the last one before whose file is still there.

    Raises
    ------
    LineageError
        There is none.
    StoreError
    """
    folder = checkpoint_folder(dataset)
    with writing(folder) as ledger:
        line = read_lineage(dataset)
        target = line.get(to) if to in line.used[:-1] and to != line.used[-1] else None
        target = target if to else line.before
        if target is None:
            which = f"{to!r} was not in use before" if to else "no model was in use before this one"
            raise LineageError(f"{dataset}: {which}; `m2dino lineage show` lists the models.")
        if target.card is None:
            raise LineageError(f"{target.file}: this checkpoint has gone; put it back, or go back to another.")
        ledger.add(Act("rolled back", target.id, _name(folder, target.file), line.used[-1]))
    return read_lineage(dataset)


def _used(acts: Iterable[Act]) -> tuple[str, ...]:
    stack: list[str] = []
    for act in acts:
        if act.kind == "promoted":
            if not stack and act.other:
                stack.append(act.other)
            stack.append(act.model)
        elif act.kind == "rolled back" and act.model in stack:
            while stack[-1] != act.model:
                stack.pop()
    return tuple(stack)


def _state(name: str, acts: Iterable[Act], used: tuple[str, ...]) -> State:
    if name in used:
        return "in use" if used[-1] == name else "used before"
    last = next((act.kind for act in reversed(list(acts)) if act.model == name and act.kind != "trained"), None)
    if last == "kept aside":
        return "kept aside"
    return "undecided" if last is None else "taken back"


def _base_state(name: str, used: tuple[str, ...]) -> State:
    return "in use" if used and used[-1] == name else "base"


def _base_of(folder: Path, ledger: Ledger, card: ModelCard) -> tuple[str, str]:
    """Return id and place of what was in use before the first promotion: what the model was trained from."""
    for act in reversed(ledger.acts):
        if act.kind == "trained" and act.model == card.id:
            return act.other, act.other_file
    with contextlib.suppress(M2DinoError):
        bundled = bundled_checkpoint()
        return read_card(bundled).id, _name(folder, bundled)
    return "", ""


def _name(folder: Path, file: Path) -> str:
    """Return how a place is written down: the folder may be moved with all that lies in it."""
    file = Path(os.path.abspath(file))
    with contextlib.suppress(M2DinoError):
        if file == bundled_checkpoint():
            return BUNDLED
    folder = Path(os.path.abspath(folder))
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def _path(folder: Path, name: str) -> Path:
    if name == BUNDLED:
        with contextlib.suppress(M2DinoError):
            return bundled_checkpoint()
    return folder / name


def _card(file: Path, model_id: str) -> ModelCard | None:
    """Return the card of a file, if it still is that model's."""
    try:
        card = read_card(file)
    except M2DinoError:
        return None
    return card if card.id == model_id else None


def _against(card: ModelCard | None) -> tuple[str, ...]:
    try:
        return tuple(objections(card)) if card else ()
    except M2DinoError as error:
        return (str(error),)


def _written(file: Path) -> str:
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:
        return ""


def _clear(folder: Path) -> None:
    """Remove what killed programs left unfinished; fresh files may belong to a live one."""
    clear_parts(folder, STALE_S)
    for part in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_S:
                part.unlink()
