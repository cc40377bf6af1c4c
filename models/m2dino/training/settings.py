"""The settings of a training run: plain data, kept in the model card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from m2dino.errors import UsageError


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes
    ----------
    minutes, epochs : float or None
        Length of the run: exactly one of the two. An epoch is as many samples as there are rows.
    batch_size : int
    encoder_lr, head_lr : float
        Peak learning rates of the encoder, and of decoder, heads and task embeddings.
    weight_decay : float
        Of matrices only; norms, biases and embeddings do not decay.
    warmup : float
        Share of the run over which the learning rate rises; it then falls along a cosine.
    clip : float
        Largest norm of the gradient.
    ema : float
        Decay of the moving average of the weights, which is what is kept.
    alpha : float
        Tasks are drawn with p ~ n^alpha.
    seed : int
    """

    minutes: float | None = None
    epochs: float | None = None
    batch_size: int = 8
    encoder_lr: float = 6e-4
    head_lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    clip: float = 1.0
    ema: float = 0.998
    alpha: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.epochs is None):
            raise UsageError("Say how long to train: either in minutes or in epochs.")
        if (self.minutes or self.epochs or 0) <= 0:
            raise UsageError("The length of a training run must be more than 0.")
        if self.batch_size < 1:
            raise UsageError(f"The batch size must be at least 1, not {self.batch_size}.")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainSettings:
        return cls(**data)
