"""Colours in the layers: those of the engine, and one that stands for no class."""

from __future__ import annotations

from m2dino.colours import PALETTE, colour

__all__ = ["NOT_A_CLASS", "PALETTE", "colour"]

NOT_A_CLASS = "#ff00ff"
