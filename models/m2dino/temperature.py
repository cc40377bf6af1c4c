"""One temperature a task, so that the probabilities of classes and of pixels mean what they say.

After Guo et al. 2017 (arXiv 1706.04599): logits are divided by a number T fitted on held-out rows by their negative
log-likelihood. No answer changes, only how sure it is said to be.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from m2dino.network.heads import ClassificationOutput, Output, SegmentationOutput

LEAST, MOST = 0.2, 10.0


def tempered(output: Output, temperature: float) -> Output:
    """Return an output with its logits divided by a temperature; boxes and points stay as they are."""
    if temperature != 1.0 and isinstance(output, (SegmentationOutput, ClassificationOutput)):
        return type(output)(output.logits / temperature)
    return output


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """Return the temperature of least negative log-likelihood, within 0.2 to 10.

    Parameters
    ----------
    logits : Tensor, (N, K)
    truth : Tensor, (N,) int64
    """
    from scipy.optimize import minimize_scalar

    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(logits / math.exp(log_temperature), truth))

    found = minimize_scalar(loss, bounds=(math.log(LEAST), math.log(MOST)), method="bounded")
    with torch.no_grad():
        return math.exp(found.x) if found.fun < loss(0.0) else 1.0
