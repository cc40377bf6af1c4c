"""The settings of a training run: plain data, kept in the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from m2dino.errors import UsageError

MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class LossSettings:
    """What a batch is judged by.

    Attributes
    ----------
    dice, cross_entropy : float
        Weights of the two terms of segmentation. Dice alone (1 and 0) is what the M2DINO paper is said to use.
    focal : float
        Exponent gamma of the focal loss (arXiv 1708.02002) on every cross-entropy of pixels and of classes; 0 is none.
    class_balance : float
        Classes of a classification task weigh n_class^-b in its loss: 0 is by number of rows, 1 gives all an equal say.
    label_smoothing : float
        Of classification.
    heat : float
        Weight of the heatmap's cross-entropy beside the coordinates' loss, for boxes and points.
    deep : float
        Weight of the same loss on what the head says of the decoder's coarser maps (deep supervision); 0 is none.
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    focal: float = 0.0
    class_balance: float = 0.0
    label_smoothing: float = 0.05
    heat: float = 0.2
    deep: float = 0.0

    def __post_init__(self) -> None:
        if (
            min(self.dice, self.cross_entropy, self.focal, self.heat, self.deep) < 0
            or self.dice + self.cross_entropy == 0
        ):
            raise UsageError("Weights of losses must not be negative, and Dice or cross-entropy must be more than 0.")
        if not 0 <= self.class_balance <= 1 or not 0 <= self.label_smoothing < 1:
            raise UsageError("Class balance and label smoothing lie between 0 and 1.")


PAPER_LOSSES = LossSettings(dice=1.0, cross_entropy=0.0)


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes
    ----------
    minutes, epochs : float or None
        Length of the run: exactly one of the two. An epoch is as many labels as there are rows.
    batch_size : int
        Images a step, over all processes together.
    encoder_lr, head_lr, stem_lr : float
        Peak learning rates of the encoder's last block; of decoder, heads and task embeddings; of the stem's own
        convolutions, which start from ImageNet's weights.
    layer_decay : float
        Factor of the learning rate from each block of the encoder to the one before it (BEiT, arXiv 2106.08254); 1 is
        none.
    weight_decay : float
        Of matrices only; norms, biases and embeddings do not decay.
    warmup : float
        Share of the run over which the learning rate rises; it then falls along a cosine.
    clip : float
        Largest norm of the gradient.
    ema : float
        Decay of the moving average of the weights, which is what is kept.
    alpha : float
        Tasks are learnt from in shares p ~ n^alpha of their number of rows.
    co_labelled : bool
        Learn in one step from all the labels that an image has for several tasks (see `sampling`).
    tasks_per_step : int
        Most tasks of such a step; 0 for no limit.
    coarse : float
        Share of the run, from its start, that is made on smaller images (see `coarse`).
    losses : LossSettings
    checks : int
        How often, at most, the moving average is scored on held-out rows.
    keep : str
        Which state the run ends with: the "best" by those scores, or the "last", in whose choice no held-out row has
        a say. Without scores it is the last.
    early_stop : int
        End after so many checks in a row that were no better than the best; 0 never does.
    seed : int
    """

    minutes: float | None = None
    epochs: float | None = None
    batch_size: int = 8
    encoder_lr: float = 6e-4
    head_lr: float = 1e-3
    stem_lr: float = 2e-4
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    warmup: float = 0.05
    clip: float = 1.0
    ema: float = 0.998
    alpha: float = 0.5
    co_labelled: bool = True
    tasks_per_step: int = 0
    coarse: float = 0.0
    losses: LossSettings = field(default_factory=LossSettings)
    checks: int = 20
    keep: Literal["best", "last"] = "best"
    early_stop: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.epochs is None):
            raise UsageError("Say how long to train: either in minutes or in epochs.")
        if not 0 < (self.minutes or self.epochs or 0) < math.inf:
            raise UsageError("The length of a training run must be a number of more than 0.")
        if self.batch_size < 1:
            raise UsageError(f"The batch size must be at least 1, not {self.batch_size}.")
        if not all(0 < rate < math.inf for rate in (self.encoder_lr, self.head_lr, self.stem_lr)):
            raise UsageError("Learning rates must be numbers of more than 0.")
        if not 0 <= self.seed <= MOST_SEED:
            raise UsageError(f"The seed must lie between 0 and {MOST_SEED}, not be {self.seed}.")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"The layer decay must be more than 0 and at most 1, not {self.layer_decay:g}.")
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"Alpha must lie between 0 and 1, not {self.alpha:g}.")
        if not 0 <= self.coarse <= 1:
            raise UsageError(f"The coarse share must lie between 0 and 1, not {self.coarse:g}.")
        if self.tasks_per_step < 0 or self.checks < 0 or self.early_stop < 0:
            raise UsageError("Numbers of tasks and checks must not be negative.")
        if self.keep not in ("best", "last"):
            raise UsageError(f"The best or the last state can be kept, not {self.keep!r}.")
        if self.early_stop and not self.checks:
            raise UsageError("Without checks on held-out rows there is nothing to stop early by.")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def encoder_rates(given: bool) -> tuple[float, float]:
        """Return (encoder_lr, layer_decay) for an encoder from given weights, or from random ones.

        What is pretrained needs less, and the less the deeper it lies.
        """
        return (1e-4, 0.85) if given else (6e-4, 1.0)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainSettings:
        return cls(**{**data, "losses": LossSettings(**data.get("losses", {}))})
