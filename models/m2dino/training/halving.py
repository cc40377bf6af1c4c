"""Batches that are halved where the memory does not hold them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from m2dino.errors import TrainingError

Indices = NDArray[np.intp]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that the memory of the device, or of the computer, is full."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def give_back(device: torch.device) -> None:
    """Give memory that is no longer used back to the device's other programs."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class Halving:
    """How many pictures go through the network at once: halved for good where they do not fit.

    A batch is then learnt in parts, whose gradients add up: the steps stay what they were.

    Attributes
    ----------
    size : int
    """

    def __init__(self, size: int) -> None:
        self.size = size

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
                if not out_of_memory(error):
                    raise
                if self.size == 1:
                    raise TrainingError(
                        "There is not enough memory to learn from even one picture at a time; close other programs, or "
                        "use --device cpu."
                    ) from error
            # Outside the handler, which would keep the tensors of the failed step alive.
            forget()
            self.size = max(1, self.size // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
