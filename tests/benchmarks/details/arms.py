"""Which details of the network are compared: each arm is the bundled network with one thing changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from m2dino.errors import UsageError
from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.network.stem_weights import start_stem
from m2dino.tasks import Task
from m2dino.training.settings import TrainSettings

from tests.benchmarks.details.pretrain import Objective

Stem = Literal["none", "random", "imagenet"]


@dataclass(frozen=True)
class Arm:
    """A network to be trained like all others here.

    Attributes
    ----------
    name : str
    stem : str
        No convolutional stem, one of random weights, or one of ImageNet's.
    top_k : int
        Experts used per token; 0 mixes all.
    experts : int
    start : str
        What the ViT starts from: random weights, or what `pretrain` made by that objective.
    coarse : float
        Share of the run on smaller images.
    decoder_width : int
    pyramid : bool
        Whether the decoder takes the stem's deep maps too.
    class_maps : bool
        Whether, with a pyramid, classes are told from the deepest of them too.
    image_size : int
    """

    name: str
    stem: Stem = "imagenet"
    top_k: int = 2
    experts: int = 4
    start: Literal["random"] | Objective = "random"
    coarse: float = 0.0
    decoder_width: int = 64
    pyramid: bool = False
    class_maps: bool = False
    deep: float = 0.0
    image_size: int = 128
    weights: Path | None = None

    def at(self, image_size: int, weights: Mapping[Objective, Path]) -> Arm:
        """Return this arm for a size of the input, with the place of the weights that it starts from."""
        return replace(self, image_size=image_size, weights=None if self.start == "random" else weights[self.start])

    def describe(self) -> dict[str, Any]:
        """Return what it is, without places on this machine."""
        return {
            "stem": self.stem,
            "top_k": self.top_k,
            "experts": self.experts,
            "start": self.start,
            "coarse": self.coarse,
            "decoder_width": self.decoder_width,
            "pyramid": self.pyramid,
            "class_maps": self.class_maps,
            "deep": self.deep,
            "image_size": self.image_size,
        }

    def settings(self, settings: TrainSettings) -> TrainSettings:
        return replace(settings, coarse=self.coarse, losses=replace(settings.losses, deep=self.deep))

    def build(self, tasks: Iterable[Task], ema: float = 0.998) -> tuple[M2Dino, str]:
        """Return the network as it starts, and whose weights it starts from."""
        architecture = preset("tiny").with_options(
            top_k=self.top_k,
            num_experts=self.experts,
            image_size=self.image_size,
            decoder_width=self.decoder_width,
            pyramid=self.pyramid,
            class_maps=self.class_maps,
        )
        if self.stem == "none":
            architecture = architecture.with_options(stem="")
        net = M2Dino(architecture, tasks, weights=self.weights)
        sources = [f"a {self.start} ViT"] if self.weights else []
        if self.stem == "imagenet":
            sources.append(start_stem(net) or "random")
        return net, " and ".join(sources) or "random"


ARMS = {
    arm.name: arm
    for arm in (
        Arm("bundled"),
        Arm("no-stem", stem="none"),
        Arm("random-stem", stem="random"),
        Arm("distilled-no-stem", stem="none", start="distilled"),
        Arm("distilled", start="distilled"),
        Arm("masked-no-stem", stem="none", start="masked"),
        Arm("masked", start="masked"),
        Arm("soft", top_k=0),
        Arm("two-experts", top_k=1, experts=2),
        Arm("wide-decoder", decoder_width=128),
        Arm("pyramid", pyramid=True),
        Arm("class-maps", pyramid=True, class_maps=True),
        Arm("wide-pyramid", decoder_width=128, pyramid=True),
        Arm("coarse", coarse=0.5),
        Arm("deep", deep=0.5),
    )
}


def arms_named(names: Iterable[str]) -> list[Arm]:
    """Return the arms of these names; all for none.

    Raises
    ------
    UsageError
        No arm is called so.
    """
    chosen = list(names) or list(ARMS)
    for name in chosen:
        if name not in ARMS:
            raise UsageError(f"No arm is called {name!r}; there are {', '.join(ARMS)}.")
    return [ARMS[name] for name in chosen]
