"""`m2dino advise`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from m2dino.commands.console import stop_on_interrupt, terminal_progress
from m2dino.tasks import load_tasks


def register(app: typer.Typer) -> None:
    app.command("advise")(advise)


def advise(
    roots: Annotated[list[Path], typer.Argument(help="Labelled data sets in the FM_UIA layout.")],
    store: Annotated[Path | None, typer.Option(help="A dataset folder of corrections, counted too.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Measure, by short runs of so many minutes in all.")
    ] = None,
    val: Annotated[list[Path] | None, typer.Option(help="Data sets to hold out from short runs.")] = None,
    task_file: Annotated[list[Path] | None, typer.Option(help="A TOML file of your own tasks.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Advise on which tasks to train together: by counts, or measured with --minutes."""
    from m2dino.advice.advise import advise as advice_on
    from m2dino.advice.report import to_json, to_text

    with stop_on_interrupt() as should_stop:
        told = advice_on(
            roots,
            load_tasks(task_file or ()),
            store=store,
            minutes=minutes,
            val_roots=val or (),
            threads=os.cpu_count() or 1,
            on_progress=terminal_progress(),
            should_stop=should_stop,
        )
    print(to_json(told) if as_json else to_text(told))
