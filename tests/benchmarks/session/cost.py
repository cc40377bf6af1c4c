"""What a person's actions cost in time: the keystroke-level model, and a tally of actions.

Card, Moran and Newell, "The keystroke-level model for user performance time with interactive systems", Communications
of the ACM 23 (1980) 396-410: K, P, B, D and M below are theirs. What is assumed here and not theirs: one hand stays on
the keys and the other on the mouse, so that no time goes for homing (H); M is spent once on each frame looked at; a
stroke is D along its path, straightened as far as the mask allows, on a screen of 96 dots per inch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import dist

KEY_S = 0.28
"""K: a key pressed by an average typist (40 words a minute)."""
POINT_S = 1.1
"""P: pointing at something with the mouse."""
BUTTON_S = 0.1
"""B: pressing or letting go of the mouse's button."""
THINK_S = 1.35
"""M: making up one's mind."""
SEGMENT_S, CENTIMETRE_S = 0.9, 0.16
"""D: drawing straight segments with the mouse, for each of them and for each centimetre of them all."""
CENTIMETRES_A_PIXEL = 2.54 / 96


@dataclass
class Tally:
    """What a person has done.

    Attributes
    ----------
    actions : Counter
        Key presses, clicks (of which corners of polygons) and strokes.
    person_s : float
        What that takes a person, seconds; looking at frames is in it.
    waited_s : float
        What the person waits for the machine, seconds.
    looked_at : int
        How often a frame was looked at for a decision.
    """

    actions: Counter[str] = field(default_factory=Counter)
    person_s: float = 0.0
    waited_s: float = 0.0
    looked_at: int = 0

    def look(self) -> None:
        """Look at a frame and make up one's mind."""
        self.looked_at += 1
        self.person_s += THINK_S

    def key(self) -> None:
        """Press a key."""
        self._act("keys", KEY_S)

    def click(self, kind: str = "clicks") -> None:
        """Point at something and click it."""
        self._act(kind, POINT_S + 2 * BUTTON_S)

    def stroke(self, on_screen: Sequence[tuple[float, float]]) -> None:
        """Drag the mouse along straight segments between points, pixels of the screen."""
        length = sum(dist(a, b) for a, b in pairwise(on_screen)) * CENTIMETRES_A_PIXEL
        drawing = SEGMENT_S * (len(on_screen) - 1) + CENTIMETRE_S * length
        self._act("strokes", POINT_S + 2 * BUTTON_S + drawing)

    def _act(self, kind: str, seconds: float) -> None:
        self.actions[kind] += 1
        self.person_s += seconds
