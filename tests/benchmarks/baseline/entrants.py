"""Who takes part: M2DINO or the baseline, from random weights or from ImageNet's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.network.stem_weights import start_stem
from m2dino.tasks import Task
from m2dino.training.settings import TrainSettings

from tests.benchmarks.baseline.encoder_weights import load_encoder
from tests.benchmarks.baseline.network import Baseline

Network = Literal["baseline", "m2dino"]


@dataclass(frozen=True)
class Entrant:
    """What is to be trained.

    Attributes
    ----------
    network : str
    imagenet : bool
        Start the convolutional encoder from ImageNet weights.
    encoder : str
        Of the baseline, by its name in segmentation-models-pytorch.
    top_k : int
        Experts used per token in M2DINO.
    image_size : int
    """

    network: Network
    imagenet: bool = False
    encoder: str = "efficientnet-b4"
    top_k: int = 2
    image_size: int = 256

    @property
    def body(self) -> str:
        return "tiny" if self.network == "m2dino" else self.encoder

    @property
    def name(self) -> str:
        """Return a name fit for a file."""
        return f"{self.network}-{self.body}-{'imagenet' if self.imagenet else 'random'}"

    def describe(self) -> dict[str, Any]:
        return asdict(self)

    def settings(self, settings: TrainSettings, encoder_lr: float | None = None) -> TrainSettings:
        """Return the settings of its run: a convolutional encoder with ImageNet weights learns at the stem's rate."""
        if self.network == "m2dino":
            return settings
        own = settings.stem_lr if self.imagenet else settings.encoder_lr
        return replace(settings, encoder_lr=encoder_lr or own)

    def build(self, tasks: Iterable[Task], ema: float = 0.998) -> tuple[M2Dino, str]:
        """Return the network as it starts, and whose weights it starts from.

        Raises
        ------
        UsageError
            The weights are not installed.
        """
        if self.network == "baseline":
            made = Baseline(tasks, self.encoder, self.image_size, ema)
            source = load_encoder(made.backbone.body, self.encoder) if self.imagenet else "random"
            # Not one by its class, but by all that the engine asks of it.
            return cast("M2Dino", made), source
        architecture = preset("tiny").with_options(top_k=self.top_k, image_size=self.image_size)
        if not self.imagenet:
            # A stem is folded for weights that it then has not: M2DINO's own form without a stem starts at random.
            return M2Dino(architecture.with_options(stem=""), tasks), "random"
        net = M2Dino(architecture, tasks)
        return net, start_stem(net) or "random"
