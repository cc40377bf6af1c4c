"""The challenge's baseline: a convolutional encoder, one feature pyramid for all tasks, a small head for each.

Written anew from what is known of it: EfficientNet-B4 and FPN of segmentation-models-pytorch; a 1 x 1 convolution for
masks; two 3 x 3 convolutions and a 1 x 1 for the box, read at the cell that is surest of an object; mean pooling of the
encoder's last maps and a linear layer for classes and points.

It answers in the same form as `m2dino.network.model.M2Dino`, so that one engine trains, scores and reads both. Where
the challenge's own code leaves the pyramid out of the optimiser, here it learns.
"""

from __future__ import annotations

from collections.abc import Iterable

import segmentation_models_pytorch as smp
import torch
from m2dino.errors import UntrainedTaskError
from m2dino.network.backbone import Prefix
from m2dino.network.config import Architecture
from m2dino.network.heads import (
    ClassificationOutput,
    DetectionOutput,
    Output,
    RegressionOutput,
    SegmentationOutput,
)
from m2dino.network.model import MEAN, STD
from m2dino.tasks import Task
from torch import Tensor, nn

STRIDE = 32
"""The input's side is a multiple of this."""


class Encoder(nn.Module):
    """An encoder of segmentation-models-pytorch; to the engine's learning rates, one without blocks."""

    moe_from = 0
    moe_blocks = ()

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    @property
    def vit(self) -> Encoder:
        return self

    def no_weight_decay(self) -> set[str]:
        return set()

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> maps at stride 4, 8, 16 and 32."""
        maps: list[Tensor] = self.body(images)
        return maps[-4:]


class BoxHead(nn.Module):
    """Five maps: how sure a cell is of the object, and its box as four sigmoids."""

    def __init__(self, width: int, inner: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for count in (width, inner):
            layers += [nn.Conv2d(count, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers, nn.Conv2d(inner, 5, 1))

    def forward(self, dense: Tensor) -> DetectionOutput:
        maps = self.body(dense).float()
        heat, edges = maps[:, :1], torch.sigmoid(maps[:, 1:]).flatten(2)
        surest = heat.flatten(2).argmax(dim=-1, keepdim=True).expand(-1, 4, -1)
        one, other = edges.gather(2, surest).squeeze(2).split(2, dim=1)
        return DetectionOutput(torch.cat([torch.minimum(one, other), torch.maximum(one, other)], dim=1), heat)


def make_head(task: Task, deep: int, dense: int) -> nn.Module:
    """Return a fresh head on `deep` channels at stride 32 or `dense` channels at stride 4."""
    if task.type == "segmentation":
        return nn.Conv2d(dense, task.num_classes, 1)
    if task.type == "detection":
        return BoxHead(dense)
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if task.type == "classification":
        return nn.Sequential(*pool, nn.Dropout(0.2), nn.Linear(deep, task.num_classes))
    out = nn.Linear(deep, 2 * task.num_classes)
    # Points start in the middle of the picture.
    nn.init.constant_(out.bias, 0.5)
    return nn.Sequential(*pool, out)


class Baseline(nn.Module):
    """The baseline, with the methods of `M2Dino` that training and prediction use.

    Parameters
    ----------
    tasks : iterable of Task
    encoder : str
        A name of segmentation-models-pytorch; the challenge has "efficientnet-b4".
    image_size : int
        Side of the network's square, px; a multiple of 32.
    ema : float
        Decay of the moving average of the weights that training keeps.
    """

    def __init__(
        self, tasks: Iterable[Task], encoder: str = "efficientnet-b4", image_size: int = 256, ema: float = 0.998
    ) -> None:
        super().__init__()
        whole = smp.FPN(encoder, encoder_weights=None, classes=1)
        # Of the architecture, the engine asks for the image size only.
        name = f"{encoder.replace('-', '_')}_fpn"
        self.architecture = Architecture(name, num_experts=1, image_size=image_size)
        self.backbone = Encoder(whole.encoder)
        self.decoder = whole.decoder
        deep, dense = whole.encoder.out_channels[-1], whole.segmentation_head[0].in_channels
        self.tasks = {task.id: task for task in tasks}
        self.heads = nn.ModuleDict({self.key(each.id): make_head(each, deep, dense) for each in self.tasks.values()})
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self._pyramid: tuple[Prefix, Tensor] | None = None
        self._average_statistics(ema)

    @staticmethod
    def key(task_id: str) -> str:
        return f"task_{task_id}"

    def _average_statistics(self, ema: float) -> None:
        """Let the statistics of batch norms follow the moving average of the weights, not their last values.

        Evaluated are averaged weights: statistics of the last weights would not fit them.
        """

        def keep_pace(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
            if norm.training:
                step = int(norm.num_batches_tracked)
                norm.momentum = 1 - min(ema, (1 + step) / (10 + step))

        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_pre_hook(keep_pace)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 RGB (B, 3, H, W) -> what the network takes."""
        return (images.float() / 255 - self.mean) / self.std

    def prefix(self, images: Tensor) -> Prefix:
        """Run the encoder on normalised images (B, 3, H, W); its deepest maps stand where M2DINO has tokens."""
        *shallow, deep = self.backbone(images)
        self._pyramid = None
        return Prefix(deep, (), tuple(shallow))

    def from_prefix(self, prefix: Prefix, grid: tuple[int, int], task_id: str) -> Output:
        """Finish for one task; `grid` is of no use here."""
        if task_id not in self.tasks:
            raise UntrainedTaskError(f"This model has no output for the task {task_id!r}.")
        task, head = self.tasks[task_id], self.heads[self.key(task_id)]
        if task.type == "segmentation":
            return SegmentationOutput(head(self._dense(prefix)).float())
        if task.type == "detection":
            output: DetectionOutput = head(self._dense(prefix))
            return output
        answer = head(prefix.tokens).float()
        if task.type == "classification":
            return ClassificationOutput(answer)
        # One cell: a heatmap that has nothing to say, at a loss of 0.
        none = answer.new_zeros((len(answer), task.num_classes, 1, 1))
        return RegressionOutput(answer.unflatten(1, (-1, 2)), none)

    def _dense(self, prefix: Prefix) -> Tensor:
        """Return the pyramid's map at stride 4: once for all tasks of the same images."""
        if self._pyramid is None or self._pyramid[0] is not prefix:
            self._pyramid = (prefix, self.decoder([*prefix.detail, prefix.tokens]))
        return self._pyramid[1]

    def forward(self, images: Tensor, task_id: str) -> Output:
        """Predict one task for normalised images (B, 3, H, W)."""
        return self.from_prefix(self.prefix(images), (1, 1), task_id)
