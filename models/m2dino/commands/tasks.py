"""`m2dino tasks`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from m2dino.tasks import load_tasks


def register(app: typer.Typer) -> None:
    app.command("tasks")(tasks)


def tasks(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    task_file: Annotated[
        list[Path] | None, typer.Option(help="A TOML file of your own tasks; may be repeated.")
    ] = None,
) -> None:
    """List the tasks that are known: the 27 of FM_UIA 2026 and your own."""
    registry = load_tasks(task_file or ())
    if as_json:
        rows = [
            {
                "id": t.id,
                "type": t.type,
                "num_classes": t.num_classes,
                "labels": list(t.label_names),
                "organ": t.organ,
                "group": t.group,
            }
            for t in registry
        ]
        print(json.dumps(rows, indent=1))
        return
    for task in registry:
        print(f"{task.id:24} {task.type:15} {task.group:10} {task.organ:26} {', '.join(task.label_names)}")
