"""What the network shows of a frame beside its answer: how divided the experts are, and what the frame looks like."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Insight:
    """What is known of a frame beside its prediction.

    Attributes
    ----------
    frame : int
    entropy : float
        Mean entropy of the gates over tokens and mixtures, 0 (one expert has it all) to 1 (all have the same share).
    features : ndarray of float32, shape (D,)
        Mean patch token of the task-free half of the backbone, of length 1.
    """

    frame: int
    entropy: float
    features: NDArray[np.float32]


OnInsight = Callable[[Insight], None]


def routing_entropy(gates: Sequence[Tensor]) -> list[float]:
    """Return the normalised entropy of each image.

    Parameters
    ----------
    gates : sequence of Tensor, (B, N, E)
        One of each mixture; along E they sum to 1.
    """
    shares = torch.stack([gate.float() for gate in gates])
    entropy = torch.special.entr(shares).sum(dim=-1) / math.log(max(shares.shape[-1], 2))
    return [float(one) for one in entropy.mean(dim=(0, 2))]


def pooled(tokens: Tensor) -> NDArray[np.float32]:
    """Return the mean of patch tokens (B, N, D), each scaled to length 1: (B, D)."""
    mean = torch.nn.functional.normalize(tokens.float().mean(dim=1), dim=-1)
    found: NDArray[np.float32] = mean.cpu().numpy()
    return found
