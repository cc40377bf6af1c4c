"""One history of everything a person does: masks, points, boxes, classes, decisions, bulk actions. No Qt, no napari.

A step holds, for each frame it concerns, where the frame stood before and after: whole, never as a difference to
pixels that a new prediction may have replaced meanwhile. What only follows the proposal is kept as just that, so that
undoing goes back to the newest proposal and not to an old model's. See docs/decisions/0037-one-history.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from napari_m2dino.origins import Origin, origin_of
from napari_m2dino.session import Standing

BUDGET_BYTES = 64 * 2**20
"""Memory that the history takes at most; beyond it the oldest steps go."""

Place = TypeVar("Place")


@dataclass(frozen=True)
class Change:
    """Where a frame stood before and after a step."""

    frame: int
    before: Standing
    after: Standing

    def turned(self) -> Change:
        """Return the change back."""
        return Change(self.frame, self.after, self.before)


@dataclass(frozen=True)
class Step(Generic[Place]):
    """One thing that a person did.

    Attributes
    ----------
    place : object
        The loop and task it was done on.
    words : str
        What it was, to follow "Undid: " or "Did again: ".
    changes : tuple of Change
    """

    place: Place
    words: str
    changes: tuple[Change, ...]

    @property
    def size(self) -> int:
        """Bytes that it takes, about; what two steps share is counted twice."""
        stood = [one for change in self.changes for one in (change.before, change.after)]
        return 200 + sum(200 + (one.content.size if one.content else 0) for one in stood)


class History(Generic[Place]):
    """The steps done, and those undone that can be done again.

    Parameters
    ----------
    budget : int
        Bytes.
    """

    def __init__(self, budget: int = BUDGET_BYTES) -> None:
        self._budget = budget
        self._done: deque[Step[Place]] = deque()
        self._undone: list[Step[Place]] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that the steps take, about."""
        return self._size

    @property
    def next_undo(self) -> Step[Place] | None:
        return self._done[-1] if self._done else None

    @property
    def next_redo(self) -> Step[Place] | None:
        return self._undone[-1] if self._undone else None

    def add(self, step: Step[Place]) -> None:
        """Take note of a step just done; what was undone before can no longer be done again."""
        self._size -= sum(one.size for one in self._undone)
        self._undone.clear()
        self._done.append(step)
        self._size += step.size
        self._keep_to_budget()

    def replace(self, step: Step[Place], by: Step[Place]) -> bool:
        """Put a step that has grown in the place of the one it was; return whether that is among those done.

        It stays before what was done since, and that can still be done again if it is undone.
        """
        place = next((at for at, one in enumerate(self._done) if one is step), None)
        if place is None:
            return False
        self._done[place] = by
        self._size += by.size - step.size
        self._keep_to_budget()
        return True

    def _keep_to_budget(self) -> None:
        while self._size > self._budget and len(self._done) > 1:
            self._size -= self._done.popleft().size

    def undo(self) -> Step[Place] | None:
        """Move one step back and return it; None at the beginning."""
        if not self._done:
            return None
        step = self._done.pop()
        self._undone.append(step)
        return step

    def redo(self) -> Step[Place] | None:
        """Move one step forward and return it; None at the end."""
        if not self._undone:
            return None
        step = self._undone.pop()
        self._done.append(step)
        return step

    def forget(self, place: Place) -> None:
        """Forget the steps of a loop and task that are no longer there."""
        self._done = deque(step for step in self._done if step.place is not place)
        self._undone = [step for step in self._undone if step.place is not place]
        self._size = sum(step.size for step in (*self._done, *self._undone))


def target(change: Change, now: Standing) -> Standing:
    """Return where undoing (or, turned, redoing) a change leads from where a frame stands now.

    A proposal that was made since, and a decision that another person has taken since, stay: they are newer.
    """
    before, after = change.before, change.after
    same_proposal = before.proposal is after.proposal or now.proposal is not after.proposal
    return Standing(
        before.content,
        before.decision if now.decision is after.decision else now.decision,
        now.proposal if same_proposal else before.proposal,
    )


def joined(first: Iterable[Change], second: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes of one step after those of another as those of a single step, in the order of the frames."""
    changes = {change.frame: change for change in first}
    for change in second:
        before = changes[change.frame].before if change.frame in changes else change.before
        changes[change.frame] = Change(change.frame, before, change.after)
    return tuple(changes[frame] for frame in sorted(changes))


def by_model(standing: Standing) -> bool:
    """Whether a frame's proposal, if it has one, is a model's."""
    return standing.proposal is None or origin_of(standing.proposal.model_id) is Origin.MODEL


def of_machine(change: Change) -> bool:
    """Whether only a model's proposal has changed, and took no one's place but a model's: no doing of a person."""
    before, after = change.before, change.after
    if before.content is not None or after.content is not None or before.decision is not after.decision:
        return False
    return by_model(before) and by_model(after)


def same(first: Standing, second: Standing) -> bool:
    """Whether a frame stands where it stood."""
    return first.content == second.content and first.decision is second.decision and first.proposal is second.proposal
