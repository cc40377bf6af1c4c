"""`m2dino checkpoint show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Look at checkpoints.", no_args_is_help=True)
    group.command("show")(show)
    # A group of one command would otherwise lose its name.
    group.callback()(_group)
    app.add_typer(group, name="checkpoint")


def _group() -> None:
    """Look at checkpoints."""


def show(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or the name of a bundled one (tiny).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole card as JSON.")] = False,
) -> None:
    """Print the model card of a checkpoint."""
    from m2dino.commands.training import print_card
    from m2dino.network.card import bundled_checkpoint, read_card
    from m2dino.network.config import PRESETS

    path = bundled_checkpoint(str(file)) if str(file) in PRESETS else file
    card = read_card(path)
    if as_json:
        print(card.to_json())
        return
    print_card(card, path)
    stem = f" and a stem of {card.training['stem']}" if "stem" in card.training else ""
    print(f"made {card.created}, from {card.parent_id or 'random weights'}{stem}; {card.architecture.backbone}")
    print(f"licence: {card.licence}")
    for line in card.data:
        print(f"data: {line}")
    if card.limits:
        print(f"limits: {card.limits}")
    print(card.notice)
