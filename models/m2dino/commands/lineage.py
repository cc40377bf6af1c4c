"""`m2dino lineage`: which fine-tuned model of a dataset folder is in use, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from m2dino.errors import LineageError

Store = Annotated[Path, typer.Argument(help="Dataset folder of corrections.")]
Which = Annotated[str, typer.Argument(metavar="MODEL", help="A checkpoint file, or the id of a model of the line.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Fine-tuned models: take into use, keep aside, roll back.", no_args_is_help=True)
    for command in (show, promote, aside, rollback):
        group.command(command.__name__)(command)
    app.add_typer(group, name="lineage")


def show(store: Store, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every model that was fine-tuned on a dataset folder: from what, on what, how well, and which is in use."""
    from m2dino.lineage import read_lineage
    from m2dino.lineage.report import to_data, to_text

    line = read_lineage(_there(store))
    print(json.dumps(to_data(line), indent=1) if as_json else to_text(line))


def promote(
    store: Store,
    model: Which,
    despite_harm: Annotated[
        bool, typer.Option("--despite-harm", help="Even where a task became worse; its card will tell.")
    ] = False,
) -> None:
    """Take a model into use."""
    from m2dino.lineage import promote as take

    file = _file(store, model)
    line = take(store, file, despite_harm=despite_harm)
    print(f"In use: {line.used[-1]}  {file}")


def aside(store: Store, model: Which) -> None:
    """Keep a model without using it."""
    from m2dino.lineage import keep_aside

    file = _file(store, model)
    keep_aside(store, file)
    print(f"Kept aside: {file}")


def rollback(
    store: Store, to: Annotated[str, typer.Option(help="Id of a model that was in use; by default the last.")] = ""
) -> None:
    """Go back to the model that was in use before."""
    from m2dino.lineage import roll_back

    line = roll_back(_there(store), to)
    print(f"In use: {line.used[-1]}")


def _there(store: Path) -> Path:
    if not store.is_dir():
        raise LineageError(f"{store}: there is no such dataset folder.")
    return store


def _file(store: Path, model: str) -> Path:
    from m2dino.lineage import checkpoint_folder, read_lineage

    _there(store)
    if (found := read_lineage(store).get(model)) is not None:
        return found.file
    path = Path(model)
    if not path.exists() and (checkpoint_folder(store) / path).is_file():
        return checkpoint_folder(store) / path
    return path
