"""Incremental training of one task on a person's corrections.

Two forms: *isolated* (see `isolated`) leaves the network's answer to every other task as it is; *shared* (see `shared`)
trains what tasks have in common too, replaying the other tasks' data. Every other task whose result can change is
measured before and after, or named where there is nothing to measure it on. In the isolated form these are the tasks
that are read together with what the task outlines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from m2dino.data.samples import CorrectedFrame, LabelledFrames
from m2dino.data.store import Store
from m2dino.device import choose_device
from m2dino.lineage import read_lineage
from m2dino.metrics import judged
from m2dino.network.card import ModelCard, TaskReport
from m2dino.network.checkpoint import check_place, load_checkpoint, save_checkpoint
from m2dino.predictor import Model
from m2dino.progress import ShouldStop, never_stop
from m2dino.training.apart import without
from m2dino.training.cautions import leaning, leaning_in_words, meanwhile
from m2dino.training.checks import HeldOut
from m2dino.training.corrections import Corrections, corrections, definition, measurable
from m2dino.training.finetune_common import (
    FinetuneProgress,
    FinetuneResult,
    FinetuneSettings,
    OnFinetuneProgress,
    compared,
    headline,
    score_heldout,
)
from m2dino.training.finetune_settings import Form
from m2dino.training.guard import Verdict, compare, harmed
from m2dino.training.halving import give_back, told_if_full
from m2dino.training.isolated import learn_isolated
from m2dino.training.refusals import refuse_other_task, refuse_replay_alone
from m2dino.training.replay import Replay, gather_replay, score_replay
from m2dino.training.run import metric_values
from m2dino.training.shared import learn_shared
from m2dino.training.speed import Stopwatch, key_of, remember
from m2dino.training.suspicion import suspicion
from m2dino.training.temperatures import LEAST_IMAGES, fit_temperatures

__all__ = ["FinetuneProgress", "FinetuneResult", "FinetuneSettings", "Form", "finetune"]

FITTED_FRAMES = 32
"""Held-out frames, spread evenly, that the task's temperature is fitted to at the most: more would cost seconds."""
LAST_LOOK_S = 1.0
"""How long a person who has stopped it waits for the figures of the task; without them it is not measured."""


@told_if_full()
def finetune(
    store: Store,
    task_id: str,
    base: Path,
    out: Path,
    *,
    form: Form = "isolated",
    replay: Sequence[Path] = (),
    settings: FinetuneSettings | None = None,
    device: str = "auto",
    cache: Path | None = None,
    on_start: Callable[[Corrections], None] = lambda data: None,
    on_progress: OnFinetuneProgress = lambda progress: None,
    should_stop: ShouldStop = never_stop,
) -> FinetuneResult:
    """Fine-tune one task of a checkpoint on a store's corrections and write a new checkpoint.

    Parameters
    ----------
    store : Store
    task_id : str
        May be a task that the base does not know: it then starts from nothing.
    base, out : Path
        Checkpoint to start from, which stays as it is, and the new one.
    form : str
        isolated or shared.
    replay : sequence of Path
        Labelled data (FM_UIA layout) of the base's other tasks, for the shared form; corrections of other tasks in the
        store are replayed as well.
    settings : FinetuneSettings, optional
    device : str
    cache : Path, optional
        Folder that keeps how long the parts took (see `speed`); by default in the user's cache.
    on_start, on_progress, should_stop : callables

    Raises
    ------
    TooLittleDataError, OneClassError
        Too few corrected frames, or their labels say nothing.
    MissingPicturesError
        Pictures have gone from the store (see `m2dino.data.bring_back`).
    OtherTaskError
        The base knows the task with another type or number of classes.
    NothingToReplayError
        The shared form has nothing to replay.
    UsageError
        The isolated form is given data to replay.
    TrainingError
        Stopped before anything was learnt, the loss was not a number, or there is not enough memory.
    NotACheckpointError, CheckpointWriteError, StoreError, DatasetError
    """
    settings = settings or FinetuneSettings()
    refuse_replay_alone(form, replay)
    check_place(out)
    start = time.monotonic()
    data = corrections(store, task_id)
    on_start(data)
    net, card = load_checkpoint(base)
    known, shared = task_id in net.tasks, form == "shared"
    refuse_other_task(base, card, data.task)
    data = replace(data, task=definition(card, data.task))
    task = data.task
    leant = leaning((one.task for one in card.tasks.values()), task)
    rows = (
        gather_replay(card, data, replay, store, on_progress, should_stop)
        if shared
        else _of_leaning(store, card, data, leant)
    )
    data = data if rows is None else rows.own
    torch.manual_seed(settings.seed)
    if not known:
        net.add_task(task)
    had = card.tasks[task_id] if known else TaskReport(task, 0)
    # Frames of this folder that the base has learnt the task from before are learnt again, and count once.
    others = max(0, had.n_train - read_lineage(store.folder).learnt_here(task_id, card.id))
    report = replace(had, task=task, n_train=others + len(data.train), n_val=len(data.heldout), metrics={})
    # What the base answers is read by its own definitions, which say what is read together with what.
    old_model = Model(net, card, choose_device(device), base)
    # A card that knows the task, so that the model under training can be asked for it.
    trial = Model(net, replace(card, tasks={**card.tasks, task_id: report}), old_model.device, base)
    watch = Stopwatch()
    try:
        with watch.timing("score", len(data.heldout) * known):
            old = score_heldout(old_model, store, data, should_stop) if known else None
        if known:
            on_progress(
                FinetuneProgress(
                    0, settings.steps_for(len(data.train), form, known), "comparing the labels with the model"
                )
            )
        doubts = tuple(filter(None, [suspicion(had, compared(old_model, store, data, should_stop))])) if known else ()
        before = {} if old is None else {task_id: old}
        if rows is not None:
            with watch.timing("score", rows.held_out):
                before |= score_replay(old_model, store, rows, on_progress, should_stop)
        if rows is None or not shared:
            learnt = learn_isolated(trial, store, data, settings, known, watch, on_progress, should_stop)
            steps, stopped, new = learnt.steps, learnt.stopped, learnt.scores
        else:
            result = learn_shared(trial, store, data, rows, settings, device, on_progress, should_stop)
            steps, stopped = result.steps, result.stopped
            watch.add("step", result.seconds, steps * settings.batch)
            trial = Model(net, trial.card, trial.device, base)
            waiting = time.monotonic() + LAST_LOOK_S
            new = score_heldout(trial, store, data, lambda: should_stop() and time.monotonic() > waiting)
        after = {} if new is None else {task_id: new}
        if rows is not None and not stopped:  # stopped, the person waits: the task alone is measured
            with watch.timing("score", rows.held_out):
                after |= score_replay(trial, store, rows, on_progress, should_stop)
            stopped = should_stop()
        if not stopped:
            report = replace(report, temperature=_temperature(trial, store, data, report.temperature))
        net.cpu()
    finally:
        give_back(trial.device)
    changes = {name: change for name in before.keys() & after.keys() if (change := compare(before[name], after[name]))}
    unmeasured = set(card.tasks if shared else leant) - set(changes) - {task_id}
    if task_id not in (changes if known else after) or (not known and headline(after[task_id]) is None):
        unmeasured.add(task_id)
    verdict = Verdict(changes, harmed(changes), tuple(sorted(unmeasured)), doubts, stopped)
    leaned = leaning_in_words(leant, task_id)
    cautions = (*data.cautions, *filter(None, [leaned, meanwhile(data.rows, store.training_rows(task_id))]))
    noted = [f"{task_id}: {one}" for one in cautions]
    reports = {**card.tasks, task_id: report}
    for name in unmeasured & reports.keys():  # the figures of the network before need not hold for this one
        reports[name] = replace(reports[name], n_val=0, metrics={})
    for name, scores in after.items():
        reports[name] = replace(reports[name], n_val=len(scores.images), metrics=metric_values(judged(scores)))
    card = replace(
        card,
        tasks=reports,
        parent_id=card.id,
        limits=" ".join(filter(None, [card.limits, *verdict.warnings(task_id), *noted])),
        fingerprint=data.fingerprint,
        training={
            "form": form,
            "task": task_id,
            "steps": steps,
            "seed": settings.seed,
            "harmed": list(verdict.harmed),
            "unmeasured": sorted(unmeasured),
            "doubts": list(doubts),
            "cautions": list(cautions),
            "changes": {name: change.to_dict() for name, change in sorted(changes.items())},
        },
    )
    card = save_checkpoint(net, card, out)
    if not stopped:
        watch.add("start", max(0.0, time.monotonic() - start - watch.seconds), 1)
        remember(key_of(card, task, form, trial.device.type), watch.speed(), cache)
    return FinetuneResult(
        card,
        {name: judged(scores) for name, scores in before.items()},
        {name: judged(scores) for name, scores in after.items()},
        len(data.train),
        len(data.heldout),
        data.loops,
        time.monotonic() - start,
        stopped,
        data,
        verdict,
        cautions,
    )


def _temperature(model: Model, store: Store, data: Corrections, had: float) -> float:
    """Return the temperature that fits the task's held-out frames; the one that it `had` where they are too few.

    That one was fitted to the network before it learnt, which may have been less sure, or more rightly so.
    """
    if len(data.heldout) < LEAST_IMAGES:
        return had
    records = [CorrectedFrame(store, record) for record in data.heldout]
    frames = LabelledFrames(records, {data.task.id: data.task}, model.size)
    return fit_temperatures(model.net.eval(), HeldOut(frames, FITTED_FRAMES)).get(data.task.id, had)


def _of_leaning(store: Store, card: ModelCard, data: Corrections, names: Sequence[str]) -> Replay | None:
    """Return the held-out frames of tasks that lean on the one that learns, which trains on none of them."""
    trained = {(record.loop_id, record.frame) for record in data.train}
    found = {}
    for name in measurable(store, card, names, data.train):
        other = corrections(store, name)
        found[name] = replace(other, train=[], heldout=without(other.heldout, trained))
    return Replay(data, corrected=found) if found else None
