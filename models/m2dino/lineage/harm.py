"""What speaks against using a fine-tuned model, read from its card; and writing there that a person accepted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from m2dino.errors import NotACheckpointError
from m2dino.network.card import ModelCard
from m2dino.network.card_file import rewrite_card

ACCEPTED = "accepted_harm"


def objections(card: ModelCard) -> list[str]:
    """Return what the guard of fine-tuning holds against a model, a sentence each; empty where it has nothing.

    Raises
    ------
    NotACheckpointError
        What the card tells of its training cannot be understood.
    """
    told = card.training
    task = str(told.get("task", ""))
    try:
        changes: Mapping[str, Any] = told.get("changes") or {}
        said = [_harmed(name, changes.get(name), task) for name in told.get("harmed") or ()]
        if unmeasured := list(told.get("unmeasured") or ()):
            said.append(f"May have changed and could not be measured: {', '.join(map(str, unmeasured))}.")
        return [*said, *map(str, told.get("doubts") or ())]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotACheckpointError(f"{card.id}: what its card tells of its training is not understood.") from error


def accepted(card: ModelCard) -> list[str]:
    """Return the sentences that a person accepted when the model was promoted; empty if there were none."""
    told = card.training.get(ACCEPTED)
    return [str(one) for one in told.get("said", ())] if isinstance(told, dict) else []


def accept(path: Path, card: ModelCard, said: Sequence[str]) -> ModelCard:
    """Write into a checkpoint's card that a person took it into use knowing of its harm; its weights and id stay.

    Raises
    ------
    CheckpointWriteError
        It cannot be written; the file is as it was.
    """
    if accepted(card) == list(said):
        return card
    month = datetime.now(UTC).strftime("%Y-%m")
    limits = f"{card.limits} Taken into use in {month} by a person who was told: {' '.join(said)}".strip()
    card = replace(card, limits=limits, training={**card.training, ACCEPTED: {"month": month, "said": list(said)}})
    rewrite_card(path, card)
    return card


def _harmed(name: str, change: Mapping[str, Any] | None, task: str) -> str:
    whom = f"{name}, the task itself," if name == task else name
    if change is None:
        return f"{whom} became worse."
    moved = change["difference"]
    interval = (
        "" if moved["low"] is None or moved["high"] is None else f" ({moved['low']:+.3f} to {moved['high']:+.3f})"
    )
    return (
        f"{whom} became worse: {change['metric']} {change['before']:.3f} -> {change['after']:.3f}, "
        f"{moved['value']:+.3f}{interval}, {moved['n']} images."
    )
