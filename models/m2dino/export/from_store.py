"""The annotations of a store, and the loops on disk that they belong to, found by their content."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from m2dino.cine import CineLoop, loop_paths, open_found
from m2dino.cine.frame_axis import FrameAxis
from m2dino.data.records import Fate
from m2dino.data.store_reader import StoreReader
from m2dino.errors import ExportError, LoopError, StoreError, UsageError
from m2dino.export.annotated import AnnotatedLoop, Annotation, ExportFate
from m2dino.tasks import Task

DEFAULT_FATES: tuple[ExportFate, ...] = ("accepted", "edited")


def loops_of_store(
    store: StoreReader,
    tasks: Sequence[str] = (),
    fates: Collection[ExportFate] = DEFAULT_FATES,
    files: Mapping[str, CineLoop] | None = None,
) -> list[AnnotatedLoop]:
    """Return what people decided, by task and loop; interpolated frames are left out, as they are from training.

    Parameters
    ----------
    store : Store
    tasks : sequence of str
        Ids; all tasks of the store without any.
    fates : collection of str
        `accepted`, `edited` or both.
    files : mapping of str to CineLoop, optional
        Open loops by identity (see `find_loops`).

    Raises
    ------
    UsageError
        The store has no such task, or a fate is none that has a value.
    ExportError
        There is nothing to export.
    """
    known = store.tasks()
    wanted = _known_tasks(store, tasks, known)
    wrong = sorted(set(fates) - set(DEFAULT_FATES))
    if wrong or not fates:
        raise UsageError(f"{wrong[0] if wrong else 'No fate'!r} cannot be exported; choose accepted, edited or both.")
    kept: tuple[Fate, ...] = tuple(fate for fate in ("accepted", "edited") if fate in fates)
    loops = [
        _annotated(store, task, loop_id, frames, (files or {}).get(loop_id))
        for task in wanted
        for loop_id, frames in store.labelled(task.id, kept).items()
    ]
    if not loops:
        of = f" of {', '.join(task.id for task in wanted)}" if tasks else ""
        raise ExportError(f"{store.folder}: the store holds no {' or '.join(kept)} frame{of} to export.")
    return loops


def find_loops(
    paths: Iterable[Path], wanted: Collection[str], frame_axis: FrameAxis | None = None
) -> dict[str, CineLoop]:
    """Open the loops among `paths` that are wanted, told by their content, whatever they are called now.

    Parameters
    ----------
    paths : iterable of Path
        Files, or folders of files (sub-folders are not searched). What cannot be read in a folder is passed over.
    wanted : collection of str
        Identities; other loops are closed again.
    frame_axis : str or int, optional
        As for `open_loop`.

    Raises
    ------
    LoopError, AmbiguousLoopError
        A file that was named itself cannot be read.
    UsageError
        None of the files is a loop that is wanted.
    """
    found: dict[str, CineLoop] = {}
    looked_at = 0
    for path in paths:
        files = loop_paths(path)
        for file in files:
            looked_at += 1
            try:
                loop = open_found(file, frame_axis)
            except (LoopError, UsageError):
                if files == [path]:
                    raise
                continue
            if loop.identity in wanted and loop.identity not in found:
                found[loop.identity] = loop
            else:
                loop.close()
    if looked_at and not found:
        raise UsageError(
            f"None of the {looked_at} given loops is one that the store knows. Loops are told by the content of their "
            "frames: give the files as they were when they were annotated, not copies that were coded anew."
        )
    return found


def _known_tasks(store: StoreReader, tasks: Sequence[str], known: Mapping[str, Task]) -> list[Task]:
    for task_id in tasks:
        if task_id not in known:
            raise UsageError(f"{store.folder}: the store has no task {task_id!r}; it has {', '.join(known) or 'none'}.")
    if not known:
        raise ExportError(f"{store.folder}: the store holds no record yet.")
    return [known[task_id] for task_id in dict.fromkeys(tasks)] or list(known.values())


def _annotated(store: StoreReader, task: Task, loop_id: str, frames: list[int], loop: CineLoop | None) -> AnnotatedLoop:
    size = store.frame_size(loop_id, frames[0])
    assert size is not None, "the store keeps the picture of every labelled frame"
    return AnnotatedLoop(
        loop_id,
        task,
        tuple(frames),
        size,
        partial(_read, store, loop_id, task.id),
        partial(store.frame, loop_id),
        loop,
    )


def _read(store: StoreReader, loop_id: str, task_id: str, frame: int) -> Annotation:
    record = store.get(loop_id, frame, task_id)
    if record is None or record.value is None or record.fate == "rejected":
        raise StoreError(f"{store.folder}: frame {frame} was changed while it was exported; export again.")
    return Annotation(frame, record.value, record.fate, record.model_id, record.group)
