"""`m2dino study`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from m2dino.commands.console import log_progress, stop_on_interrupt, terminal_progress
from m2dino.errors import UsageError

if TYPE_CHECKING:
    from m2dino.training.paradigms import Paradigm

WHAT, HOW = "What is compared", "How it is carried out"


def register(app: typer.Typer) -> None:
    app.command("study")(study)


def study(
    roots: Annotated[list[Path], typer.Argument(help="Labelled data sets in the FM_UIA layout.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the report and the result of every run.")],
    val: Annotated[list[Path] | None, typer.Option(help="Data sets to hold out; may be repeated.")] = None,
    val_fraction: Annotated[float, typer.Option(min=0.01, max=0.5, help="Held-out share without a val.")] = 0.15,
    tasks: Annotated[str, typer.Option(help="Task ids, with commas; all that have data by default.")] = "",
    paradigms: Annotated[
        str, typer.Option(help="Ways of pooling, with commas.", rich_help_panel=WHAT)
    ] = "task-specific,clinically-grouped,all-task",
    scales: Annotated[str, typer.Option(help="Shares of the subjects, with commas.", rich_help_panel=WHAT)] = "0.25,1",
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions of everything.", rich_help_panel=WHAT)] = 3,
    arms: Annotated[
        str,
        typer.Option(
            help="Kinds of network, with commas: soft-N, topK-N, dense-N. The first is the one the paradigms use.",
            rich_help_panel=WHAT,
        ),
    ] = "soft-4,dense-4,top2-4,dense-2,soft-2,soft-8",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches that each task is learnt in.", rich_help_panel=WHAT)
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Length of the whole study; the steps follow from it.", rich_help_panel=WHAT),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step.", rich_help_panel=WHAT)] = 8,
    held_out: Annotated[
        int, typer.Option(min=0, help="Most held-out rows of a task to score on; 0 for all.", rich_help_panel=WHAT)
    ] = 0,
    preset: Annotated[
        Literal["tiny", "small", "base", "large"], typer.Option(help="Size of the network.", rich_help_panel=WHAT)
    ] = "tiny",
    image_size: Annotated[
        int,
        typer.Option(help="Side of the network's input, px; small ones make a study feasible.", rich_help_panel=WHAT),
    ] = 128,
    pretrained: Annotated[
        bool, typer.Option(help="Start from the weights that timm has for the preset.", rich_help_panel=WHAT)
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(help="Start from a file of DINOv3 weights.", rich_help_panel=WHAT)
    ] = None,
    scheduler: Annotated[
        str, typer.Option(help="Address of a dask scheduler whose workers train.", rich_help_panel=HOW)
    ] = "",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that train side by side; 0 trains in this one.", rich_help_panel=HOW)
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=HOW)] = "auto",
    task_file: Annotated[list[Path] | None, typer.Option(help="A TOML file of your own tasks.")] = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="Print what would be done and how long it takes.")] = False,
    log_every: Annotated[float | None, typer.Option(help="Print a line every so many seconds.")] = None,
) -> None:
    """Find out on your data which tasks to train together. A repeated command goes on where it was stopped."""
    from m2dino.network.config import preset as preset_of
    from m2dino.study.cluster import Workers
    from m2dino.study.conduct import conduct
    from m2dino.study.data import study_data
    from m2dino.study.execute import How
    from m2dino.study.plan import PARADIGMS, Options
    from m2dino.study.work import one_by_one
    from m2dino.tasks import load_tasks
    from m2dino.training.data import gather
    from m2dino.training.run import Start

    if steps is not None and minutes is not None:
        raise UsageError("Give --steps or --minutes, not both.")
    if pretrained and weights is not None:
        raise UsageError("Give --pretrained or --weights, not both.")
    if scheduler and workers:
        raise UsageError("Give --scheduler or --workers, not both.")
    chosen = _words(paradigms)
    unknown = [name for name in chosen if name not in PARADIGMS]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not a way of pooling; there are {', '.join(PARADIGMS)}.")
    options = Options(
        cast("tuple[Paradigm, ...]", tuple(p for p in PARADIGMS if p in chosen)),
        _numbers(scales),
        seeds,
        tuple(_words(arms)),
        steps or 200,
        batch_size,
        held_out,
    )
    labour = Workers(scheduler, workers) if scheduler or workers else one_by_one
    progress = log_progress(log_every) if log_every else terminal_progress()
    data = gather(
        roots,
        load_tasks(task_file or ()),
        val_roots=val or (),
        task_ids=_words(tasks) or None,
        val_fraction=val_fraction,
        on_progress=terminal_progress(),
    )
    for remark in data.remarks:
        print(remark, file=sys.stderr)
    start = Start(pretrained, weights)
    architecture = preset_of(preset).with_options(image_size=image_size)
    with stop_on_interrupt(saves=True) as should_stop:
        summary = conduct(
            study_data(data),
            architecture,
            options,
            out,
            How(start, device, 0 if scheduler or workers else 1),
            labour,
            minutes=minutes,
            # As many as this computer has; what a scheduler's workers are like is not known.
            side_by_side=max(1, workers),
            threads=max(1, (os.cpu_count() or 1) // max(1, workers)),
            plan_only=plan_only,
            tell=lambda text: print(text, file=sys.stderr, flush=True),
            on_progress=progress,
            should_stop=should_stop,
        )
    if summary is None:
        return
    from m2dino.study.reading import reading

    print(out / "report.html")
    print("\n\n".join(reading(summary)))
    if summary.missing:
        print(f"{summary.missing} networks are left; repeat the command to go on.", file=sys.stderr)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in _words(text))
    except ValueError as error:
        raise UsageError(f"Scales are numbers with commas between, such as 0.25,1; not {text!r}.") from error
