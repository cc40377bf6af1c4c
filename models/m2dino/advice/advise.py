"""From data to advice: counted always, measured where there is time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from m2dino.advice.counts import count
from m2dino.advice.probes import Probes, measured, probe
from m2dino.advice.report import Told, conflict_notes, count_notes
from m2dino.advice.rules import by_counts, overall
from m2dino.errors import TooLittleDataError, UsageError
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.study.data import study_data
from m2dino.tasks import TaskRegistry
from m2dino.training.data import gather


def advise(
    roots: Sequence[Path],
    registry: TaskRegistry,
    *,
    store: Path | None = None,
    minutes: float | None = None,
    val_roots: Sequence[Path] = (),
    threads: int = 1,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> Told:
    """Advise on which tasks to train together.

    Parameters
    ----------
    roots : sequence of Path
    registry : TaskRegistry
    store : Path, optional
        Corrections, counted too.
    minutes : float, optional
        Time for short runs; without it, and where it is too short or there is too little data, counts decide.
    val_roots : sequence of Path
        Data to hold out from short runs.
    threads : int
    on_progress, should_stop : callables

    Raises
    ------
    DatasetError, StoreError, TaskError
        Data or store cannot be used.
    """
    counts = count(roots, registry, store)
    advice = {task_id: by_counts(counts, task_id) for task_id in counts}
    notes = count_notes(counts)
    probes: Probes | None = None
    if minutes is not None and len(counts) > 1:
        try:
            data = study_data(gather(roots, registry, val_roots=val_roots, on_progress=on_progress))
            if len(data.tasks) < 2:
                raise TooLittleDataError("Fewer than two tasks have rows both to train on and to hold out.")
            probes = probe(data, minutes, threads, on_progress, should_stop)
        except (TooLittleDataError, UsageError) as error:
            notes.append(f"Nothing was measured: {error}")
        else:
            advice = {task_id: measured(probes, task_id, guess) for task_id, guess in advice.items()}
            notes += conflict_notes(probes) + _unmeasured(probes, advice)
            if store is not None:
                notes.append("Short runs learnt from the data sets only, not from the store.")
    elif minutes is not None:
        notes.append("Nothing was measured: one task can be pooled with nothing.")
    return Told(counts, advice, overall(advice), probes, notes)


def _unmeasured(probes: Probes, advice: Iterable[str]) -> list[str]:
    seen = {line.task for line in probes.summary.pooling}
    left = [task_id for task_id in advice if task_id not in seen]
    return [f"Not measured, but judged by counts: {', '.join(left)}."] if left else []
