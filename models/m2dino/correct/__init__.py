"""Correcting a loop with less drawing: carry a frame to its neighbours, fill in between two, clean a mask."""

from m2dino.correct.propagation import Carried, propagate

__all__ = ["Carried", "propagate"]
