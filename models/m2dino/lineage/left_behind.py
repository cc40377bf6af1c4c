"""What the model in use has learnt and another, not made from it, would take away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m2dino.lineage.line import Lineage, LineModel
    from m2dino.network.card import ModelCard


def left_behind(line: Lineage, card: ModelCard) -> list[str]:
    """Return what using a model in place of the one in use would lose, a sentence each.

    A task that learns anew from the model before its own corrections loses nothing: its frames are learnt again. But a
    model whose line leaves that of the model in use earlier holds nothing of what other tasks have learnt since.

    Parameters
    ----------
    line : Lineage
    card : ModelCard
        Of the model that would be used.
    """
    now = line.in_use
    if now is None or now.card is None or now.id == card.id:
        return []
    shared = {card.id, card.parent_id, *(one.id for one in _upwards(line, card.parent_id))}
    own, lost = str(card.training.get("task", "")), dict[str, None]()
    for one in _upwards(line, now.id):
        if one.id in shared:
            break
        if one.card is not None and (task := str(one.card.training.get("task", ""))):
            lost[task] = None
    lost |= dict.fromkeys(task for task in now.card.tasks if task not in card.tasks)
    lost.pop(own, None)
    if not lost:
        return []
    what = f"holds nothing of what that one has learnt of {', '.join(lost)}"
    told = f"It was not made from the model in use ({now.file.stem}), and {what}."
    return [f"{told} Fine-tune from the model in use to keep both."]


def _upwards(line: Lineage, model_id: str) -> list[LineModel]:
    """Return a model and those that it came from, as far as the line knows them."""
    found: list[LineModel] = []
    one = line.get(model_id)
    while one is not None and one not in found:
        found.append(one)
        one = line.get(one.parent)
    return found
