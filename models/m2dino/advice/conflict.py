"""Whether tasks pull the shared weights in different directions: cosines between their gradients.

Positive: a step for one task helps the other. Negative: it harms it. Beside them stands the cosine between two halves
of each task's own images: where that is near zero, the gradients are noise and the others mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from m2dino.data.rows import Row
from m2dino.data.samples import LabelledFrames, SampleKey, collate
from m2dino.network.model import M2Dino
from m2dino.training.losses import loss_of

BATCHES, BATCH = 4, 4
MOST_COORDINATES = 2_000_000


@dataclass(frozen=True)
class Conflict:
    """Cosines between the tasks' gradients.

    Attributes
    ----------
    tasks : list of str
    cosines : ndarray, (T, T)
    itself : ndarray, (T,)
        Between two halves of the same task's images; NaN where a half is empty.
    """

    tasks: list[str]
    cosines: np.ndarray
    itself: np.ndarray

    def worst(self, task: str) -> tuple[str, float] | None:
        """Return the task that pulls most against one, and the cosine."""
        here = self.tasks.index(task)
        others = [(other, float(self.cosines[here, i])) for i, other in enumerate(self.tasks) if i != here]
        return min(others, key=lambda pair: pair[1], default=None)


def conflict(net: M2Dino, rows: Mapping[str, Sequence[Row]], device: torch.device) -> Conflict:
    """Measure at a trained network, over a few images of each task.

    Parameters
    ----------
    net : M2Dino
        Knows the tasks.
    rows : mapping of str to sequence of Row
    device : torch.device
    """
    # The encoder alone: not every type of task uses the decoder.
    shared = [parameter for name, parameter in net.backbone.named_parameters() if ".private." not in name]
    every = max(1, sum(parameter.numel() for parameter in shared) // MOST_COORDINATES)
    tasks, halves = sorted(rows), []
    net.train(False)
    for task in tasks:
        frames = LabelledFrames(rows[task], {task: net.tasks[task]}, net.architecture.image_size)
        count = min(len(frames), BATCHES * BATCH)
        order = [i * len(frames) // count for i in range(count)]
        halves.append([_gradient(net, frames, task, order[half::2], shared, every, device) for half in (0, 1)])
    whole = [torch.stack([half for half in own if half is not None]).sum(dim=0) for own in halves]
    table = np.array([[_cosine(a, b) for b in whole] for a in whole])
    itself = [_cosine(a, b) if a is not None and b is not None else float("nan") for a, b in halves]
    return Conflict(tasks, table, np.array(itself))


def _gradient(
    net: M2Dino,
    frames: LabelledFrames,
    task: str,
    indices: Sequence[int],
    shared: Sequence[torch.nn.Parameter],
    every: int,
    device: torch.device,
) -> Tensor | None:
    total: Tensor | None = None
    for start in range(0, len(indices), BATCH):
        sample = collate([frames[SampleKey(i, None)] for i in indices[start : start + BATCH]])
        with _as_it_learns(net, task):
            output = net(net.normalise(sample.image.to(device)), task)
        loss = loss_of(output, sample.target.to(device))
        parts = torch.autograd.grad(loss, list(shared), allow_unused=True)
        filled = [torch.zeros_like(p) if g is None else g for p, g in zip(shared, parts, strict=True)]
        flat = torch.cat([part.flatten() for part in filled])[::every].float().cpu()
        total = flat if total is None else total + flat
    return total


@contextmanager
def _as_it_learns(net: M2Dino, task: str) -> Iterator[None]:
    """Have a head of several readings answer with each, as in training: in their mean, one that is sure hides another.

    Its dropout, a module below the head, stays off.
    """
    head = net.heads[net.key(task)]
    head.training = True
    try:
        yield
    finally:
        head.training = False


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=0))
