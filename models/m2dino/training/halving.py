"""Batches that are halved where the memory does not hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from m2dino.device import out_of_memory
from m2dino.errors import MemoryFullError, TrainingError

Indices = NDArray[np.intp]
Made = TypeVar("Made")


@contextmanager
def told_if_full() -> Iterator[None]:
    """Turn running out of memory, where nothing is left to halve, into a sentence.

    Raises
    ------
    TrainingError
        The memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError, MemoryFullError) as error:
        if not isinstance(error, MemoryFullError) and not out_of_memory(error):
            raise
        raise TrainingError(
            "There is not enough memory to go on; close other programs, or use --device cpu."
        ) from error


def give_back(device: torch.device) -> None:
    """Give memory that is no longer used back to the device's other programs."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _nothing() -> None:
    """Have nothing to forget."""


class Halving:
    """How many pictures go through the network at once: halved for good where they do not fit.

    A batch is then learnt in parts, whose gradients add up: nearly the same step, for Dice is then of each part.

    Attributes
    ----------
    size : int
    full : bool
        Whether the memory has ever run out.
    """

    def __init__(self, size: int) -> None:
        self.size, self.full = size, False

    def run(self, batch: Indices, backward: Callable[[Indices], float], forget: Callable[[], None]) -> float:
        """Learn from a batch, and return the sum of what `backward` returns for its parts.

        Parameters
        ----------
        batch : (n,) indices of pictures
        backward : callable
            Adds the gradient of a part of the batch to what there is.
        forget : callable
            Drops all gradients.

        Raises
        ------
        TrainingError
            Not even one picture fits.
        """
        while True:
            try:
                return sum(backward(batch[at : at + self.size]) for at in range(0, len(batch), self.size))
            except RuntimeError as error:
                self._refuse(error)
            # Outside the handler, which would keep the tensors of the failed step alive.
            self._halve(forget)

    def each(
        self, batch: Indices, make: Callable[[Indices], Iterable[Made]], forget: Callable[[], None] = _nothing
    ) -> list[Made]:
        """Return what `make` makes of all parts of a batch, one after the other.

        Parameters
        ----------
        batch : (n,) indices of pictures
        make : callable
            Without gradients.
        forget : callable
            Makes room on the device.

        Raises
        ------
        TrainingError
            Not even one picture fits.
        """
        made: list[Made] = []
        at = 0
        while at < len(batch):
            part = batch[at : at + self.size]
            try:
                made += list(make(part))
                at += len(part)
                continue
            except RuntimeError as error:
                self._refuse(error)
            self._halve(forget)
        return made

    def _refuse(self, error: RuntimeError) -> None:
        """Raise an error that halving does not mend."""
        if not out_of_memory(error):
            raise error
        if self.size == 1:
            raise TrainingError(
                "There is not enough memory for even one picture at a time; close other programs, or use --device cpu."
            ) from error

    def _halve(self, forget: Callable[[], None]) -> None:
        self.full = True
        forget()
        self.size = max(1, self.size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
