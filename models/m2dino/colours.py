"""Colours of classes and points: told apart by colour-blind eyes too, and bright on grey ultrasound."""

from __future__ import annotations

PALETTE = ("#e69f00", "#56b4e9", "#2fd08f", "#f0e442", "#ff7f50", "#cc79a7", "#8fb8ff", "#b8e986")


def colour(index: int) -> str:
    """Return the colour of class `index` (from 1) or of point `index - 1`, as #rrggbb."""
    return PALETTE[(index - 1) % len(PALETTE)]
