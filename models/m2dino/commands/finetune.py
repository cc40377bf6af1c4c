"""`m2dino finetune`, on a terminal or as the child process of a window."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from m2dino.commands.console import stop_on_interrupt, terminal_progress
from m2dino.errors import M2DinoError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from m2dino.data.bring_back import BroughtBack
    from m2dino.metrics import Metric
    from m2dino.progress import ShouldStop
    from m2dino.training.comparing import Outcome
    from m2dino.training.corrections import Corrections
    from m2dino.training.finetune_common import FinetuneProgress, FinetuneResult

PROGRESS_EVERY_S = 0.2
GIVE_WAY = 5
"""Steps of niceness: a training takes what the window leaves, and all that nobody else uses."""
COMPARING = "comparing before and after on the held-out frames"


def register(app: typer.Typer) -> None:
    app.command("finetune")(finetune)


def finetune(
    store: Annotated[Path, typer.Argument(help="Dataset folder of corrections.")],
    task: Annotated[str, typer.Option(help="Task id.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Checkpoint to write.")] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint to start from; a bundled one by name.",
            show_default="the model in use in the dataset folder, as before this task's own corrections; else tiny",
        ),
    ] = None,
    form: Annotated[
        Literal["isolated", "shared"],
        typer.Option(help="isolated: only what the task owns learns; shared: experts learn too, others are replayed."),
    ] = "isolated",
    replay: Annotated[
        list[Path] | None, typer.Option(help="Labelled data of other tasks (shared form only); may be repeated.")
    ] = None,
    loops: Annotated[
        list[Path] | None,
        typer.Option(
            help="Where loops are now, if the store has lost pictures: searched with all below; may be repeated."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a report: figures, held-out frames, use of the experts.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Batches of 8 frames.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say what it would do and how long it would take.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option(help="Print one JSON object a line; stop on the line 'stop', or when stdin closes.")
    ] = False,
) -> None:
    """Train one task on corrected and accepted frames; what becomes of other tasks is said before and after."""
    if json_lines and hasattr(os, "nice"):  # Windows prefers the window in the foreground by itself
        os.nice(GIVE_WAY)
    if estimate:
        _estimate(store, task, out, checkpoint, form, replay or [], steps, device, json_lines, loops or [])
        return
    if out is None:
        raise typer.BadParameter("give the checkpoint to write", param_hint="'-o' / '--out'")
    run = partial(_run, store, task, out, checkpoint, form, replay or [], report, steps, device, loops or [])
    if json_lines:
        _for_a_window(run, out)
        return
    progress = terminal_progress()
    with stop_on_interrupt(saves=True) as should_stop:
        result, told = run(
            on_start=lambda data: None,
            on_back=lambda back: print(back.text()),
            on_progress=lambda p: progress(p.done, p.total, p.text),
            should_stop=should_stop,
        )
    print(f"{out}  {told.card.id}")
    loops_of = "1 loop" if result.loops == 1 else f"{result.loops} loops"
    print(f"{result.train} frames trained and {result.heldout} held out, of {loops_of}, {result.seconds:.0f} s")
    for row in told.rows:
        print(f"  {row.task:24} {row.text()}{'  HARMED' if row.harmed else ''}")
    if told.unchanged:
        print(f"  {told.unchanged} other tasks cannot have changed")
    if told.report is not None:
        print(f"report: {told.report / 'index.html'}")
    for caution in result.cautions:
        print(f"caution: {caution}")
    for warning in told.warnings:
        print(warning, file=sys.stderr)
    if told.warnings:
        print(f"The checkpoint it started from is untouched; {out} is kept beside it.", file=sys.stderr)


def _run(
    store: Path,
    task: str,
    out: Path,
    checkpoint: str | None,
    form: Literal["isolated", "shared"],
    replay: list[Path],
    report: Path | None,
    steps: int | None,
    device: str,
    loops: list[Path],
    *,
    on_start: Callable[[Corrections], None],
    on_back: Callable[[BroughtBack], None],
    on_progress: Callable[[FinetuneProgress], None],
    should_stop: ShouldStop,
) -> tuple[FinetuneResult, Outcome]:
    from m2dino.data.bring_back import bring_back
    from m2dino.data.store import Store
    from m2dino.lineage import read_lineage, record_trained
    from m2dino.training.comparing import outcome
    from m2dino.training.finetune import FinetuneProgress, FinetuneSettings, finetune

    base = _base(checkpoint, store, task)
    _refuse_place(base, store, out)
    settings = FinetuneSettings() if steps is None else FinetuneSettings(steps=steps)
    with Store.open(store) as opened:
        if loops:
            on_back(
                bring_back(
                    opened,
                    loops,
                    on_progress=lambda done, total, text: on_progress(FinetuneProgress(done, total, text)),
                    should_stop=should_stop,
                )
            )
        result = finetune(
            opened,
            task,
            base,
            out,
            form=form,
            replay=replay,
            settings=settings,
            device=device,
            on_start=on_start,
            on_progress=on_progress,
            should_stop=should_stop,
        )
        record_trained(store, out, base, train=result.train, heldout=result.heldout, loops=result.loops)
        in_use = read_lineage(store).in_use
        told = outcome(
            result,
            opened,
            task,
            out,
            base,
            in_use=in_use.file if in_use else None,
            report=report,
            device=device,
            on_frame=lambda done, total: on_progress(FinetuneProgress(done, total, COMPARING)),
            should_stop=lambda: result.stopped or should_stop(),
        )
    return result, told


def _base(checkpoint: str | None, store: Path, task: str) -> Path:
    """Return what to start from: what was named, or what the window would start from."""
    from m2dino.lineage import start_of
    from m2dino.network.card import bundled_checkpoint
    from m2dino.network.config import PRESETS

    if checkpoint is None:
        return start_of(store, task) or bundled_checkpoint()
    return bundled_checkpoint(checkpoint) if checkpoint in PRESETS else Path(checkpoint)


def _refuse_place(base: Path, store: Path, out: Path) -> None:
    """Refuse to write over a model that is needed still."""
    from m2dino.lineage import refuse_taken

    if base.resolve() == out.resolve():
        raise UsageError(f"{out}: the new checkpoint needs another name than the one it starts from.")
    refuse_taken(store, out)


def _estimate(
    store: Path,
    task: str,
    out: Path | None,
    checkpoint: str | None,
    form: Literal["isolated", "shared"],
    replay: list[Path],
    steps: int | None,
    device: str,
    json_lines: bool,
    loops: list[Path],
) -> None:
    """Say what a fine-tune would do; measure this computer first where that was never done."""
    from m2dino.data.bring_back import bring_back
    from m2dino.data.store import Store
    from m2dino.device import choose_device
    from m2dino.training.estimate import estimate
    from m2dino.training.finetune_settings import FinetuneSettings
    from m2dino.training.trial import measure_speed

    kind = choose_device(device).type
    try:
        base = _base(checkpoint, store, task)
        if out is not None:
            _refuse_place(base, store, out)
        with Store.open(store) as opened:
            if loops:
                bring_back(opened, loops)
            ask = partial(
                estimate, opened, base, task, form, settings=FinetuneSettings(steps=steps), device=kind, replay=replay
            )
            found = ask()
            if found.seconds is None:
                measure_speed(base, opened.tasks()[task], device, form)
                found = ask()
    except M2DinoError as error:
        if not json_lines:
            raise
        _emit("failed", message=str(error))
        sys.exit(1)
    if json_lines:
        _emit(
            "estimate",
            frames=found.frames,
            heldout=found.held_out,
            loops=found.loops,
            seconds=found.seconds,
            text=found.text,
            of_others=found.of_others,
            cautions=list(found.cautions),
        )
        return
    print(found.text)
    print(found.of_others)
    for caution in found.cautions:
        print(caution)


def _emit(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def _plain(scores: dict[str, dict[str, Metric]]) -> dict[str, Any]:
    return {task: {name: metric.to_dict() for name, metric in metrics.items()} for task, metrics in scores.items()}


def _for_a_window(run: Callable[..., tuple[FinetuneResult, Outcome]], out: Path) -> None:
    """Run with events on stdout and orders on stdin."""
    stopping = threading.Event()

    def listen() -> None:
        # A parent that dies closes our stdin: no orphan goes on training.
        for line in sys.stdin:
            if line.strip() == "stop":
                break
        stopping.set()

    threading.Thread(target=listen, daemon=True).start()
    last = 0.0

    def on_progress(progress: FinetuneProgress) -> None:
        nonlocal last
        if progress.metric is None and time.monotonic() - last < PROGRESS_EVERY_S and progress.done < progress.total:
            return
        last = time.monotonic()
        metric = None if progress.metric is None else {"name": progress.metric[0], "value": progress.metric[1]}
        _emit(
            "progress",
            done=progress.done,
            total=progress.total,
            text=progress.text,
            epoch=progress.done,
            loss=progress.loss,
            metric=metric,
            eta_s=progress.eta_s,
        )

    def on_start(data: Corrections) -> None:
        _emit("started", train=len(data.train), heldout=len(data.heldout), loops=data.loops)

    try:
        result, told = run(
            on_start=on_start,
            on_back=lambda back: _emit(
                "brought_back", pictures=back.pictures, loops=back.loops, missing=back.missing, text=back.text()
            ),
            on_progress=on_progress,
            should_stop=stopping.is_set,
        )
    except M2DinoError as error:
        _emit("failed", message=str(error))
        sys.exit(1)
    _emit(
        "finished",
        checkpoint=str(out),
        id=result.card.id,
        seconds=round(result.seconds, 1),
        stopped=result.stopped,
        train=result.train,
        heldout=result.heldout,
        loops=result.loops,
        harmed=list(result.harmed),
        unmeasured=list(result.verdict.unmeasured),
        doubts=list(result.verdict.doubts),
        cautions=list(result.cautions),
        fingerprint=result.card.fingerprint,
        changes={name: change.to_dict() for name, change in result.verdict.changes.items()},
        before=_plain(result.before),
        after=_plain(result.after),
        rows=[row.to_dict() for row in told.rows],
        unchanged=told.unchanged,
        warnings=told.warnings,
        report=None if told.report is None else str(told.report),
    )
