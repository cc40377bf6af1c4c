"""Where a fine-tune of a dataset folder starts from, and which files it must not write over."""

from __future__ import annotations

from pathlib import Path

from m2dino.errors import LineageError
from m2dino.lineage.line import LineModel, State, read_lineage

_WHAT: dict[State, str] = {
    "in use": "the model in use",
    "used before": "a model that was in use before",
    "kept aside": "a model that was kept aside",
    "taken back": "a model that was in use and was taken back",
}


def start_of(dataset: Path, task_id: str) -> Path | None:
    """Return the checkpoint to fine-tune a task from: the model in use, as before this task's own corrections.

    None where no model is in use.

    Raises
    ------
    LineageError
        There is a model in use, and its file has gone: starting from another would lose what it had learnt, unseen.
    StoreError
        The line cannot be read.
    """
    line = read_lineage(dataset)
    if line.gone:
        lost = line.get(line.gone)
        which = f"{lost.file}: the model in use" if lost else f"{dataset}: the model in use, {line.gone},"
        raise LineageError(
            f"{which} has gone or is damaged. Put it back, go back to the model before it (`m2dino lineage rollback`), "
            "or say which checkpoint to start from (--checkpoint)."
        )
    if line.in_use is None:
        return None
    start = line.start_for(task_id, line.in_use.id)
    return None if start is None else start.file


def refuse_taken(dataset: Path, file: Path) -> None:
    """Refuse to write a new checkpoint over a model of the line that a person may want to use or go back to.

    A model that nothing was decided on, and that no other was made from, may be replaced: so the same command can be
    repeated with more corrections until its result is promoted or kept aside.

    Raises
    ------
    LineageError
    StoreError
        The line cannot be read.
    """
    line = read_lineage(dataset)
    parents = {one.parent for one in line.models if one.card is not None}
    for one in line.models:
        if not _same_file(one.file, file):
            continue
        # A file that has gone holds nothing to lose; but one that was in use may be put back, and has its place.
        if (one.card is None and one.id not in line.used) or (one.state == "undecided" and one.id not in parents):
            continue
        raise LineageError(
            f"{file}: {_what(one)} lies in this file ({one.id}), and could not be gone back to any more; give the new "
            "checkpoint another name."
        )


def _what(model: LineModel) -> str:
    return _WHAT.get(model.state, "a model that others were made from")


def _same_file(one: Path, other: Path) -> bool:
    if one.resolve() == other.resolve():
        return True
    # Where upper and lower case name the same file.
    return one.is_file() and other.is_file() and one.samefile(other)
