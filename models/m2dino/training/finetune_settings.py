"""How long and how fast a fine-tune learns; importing this needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["isolated", "shared"]

BATCH = 8
STEPS = 240
STEPS_KNOWN = 160
"""Of the isolated form where the base knows the task: there is less to learn (docs/decisions/0053)."""
VISITS = 3
"""How often each frame should be seen, at the least."""
PROBE_SHARE = 0.8
"""Of the steps of the isolated form, those that only the head and the decoder learn from."""
PATHS = (0.75, 0.5, 0.25)
"""Of the way from the base to the learnt weights: where a known task may stop short at the end."""


@dataclass(frozen=True)
class FinetuneSettings:
    """How long and how fast to learn; the defaults are meant for one click on two CPU cores.

    Attributes
    ----------
    steps : int or None
        Batches; by default 240, or 160 of the isolated form for a task that the base knows, and more where there are so
        many frames that each would not be seen three times.
    batch : int
        Pictures a step.
    pictures : int
        Pictures to prepare: each corrected frame plain, and augmented as often as fits.
    lr : float or None
        Peak learning rate; by default what suits a task that the base knows, or one that starts from nothing.
    ema : float
    checks : int
        How often the held-out frames are scored on the way.
    seed : int
    """

    steps: int | None = None
    batch: int = BATCH
    pictures: int = 160
    lr: float | None = None
    ema: float = 0.95
    checks: int = 8
    seed: int = 0

    def steps_for(self, frames: int, form: Form, known: bool) -> int:
        """Return how many steps to make for so many frames to learn from; `known`: whether the base knows the task."""
        fewest = STEPS_KNOWN if known and form == "isolated" else STEPS
        return self.steps or max(fewest, -(-VISITS * frames // self.batch))

    def pictures_for(self, frames: int) -> int:
        """Return how many pictures are prepared of so many frames."""
        return frames * max(1, self.pictures // frames)
