"""One small head a task, all fed by spatial feature maps (never by a class token alone).

Coordinates are (y, x) in units of the network's input, in [0, 1]: the left edge of the first pixel is 0, the right edge
of the last is 1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from m2dino.network.decoder import norm_act
from m2dino.tasks import Task

TILT = 3.6
"""Slope in logits over the image's side: the mean of softmax(-3.6 y) over y in [0, 1] is 0.25."""


class Features(NamedTuple):
    """What a head may look at.

    Attributes
    ----------
    tokens : Tensor, (B, N, D)
        Final patch tokens, without class and register tokens.
    dense : Tensor, (B, width, H / 4, W / 4), or None
        The decoder's map; None for classification, which does not need it.
    deep : Tensor, (B, C, H / 32, W / 32), or None
        The stem's deepest map, for classification; None where it is told from the tokens alone.
    """

    tokens: Tensor
    dense: Tensor | None
    deep: Tensor | None = None


class SegmentationOutput(NamedTuple):
    """Class logits (B, K, H / 4, W / 4)."""

    logits: Tensor


class ClassificationOutput(NamedTuple):
    """Class logits (B, K)."""

    logits: Tensor


class ClassificationReadings(NamedTuple):
    """Class logits (B, R, K) of R readings that learn each by itself: what a head of several answers in training."""

    readings: Tensor

    def mean(self) -> ClassificationOutput:
        """Return the logits of their mean probabilities."""
        return ClassificationOutput(self.readings.softmax(dim=2).mean(dim=1).clamp(min=1e-12).log())


class DetectionOutput(NamedTuple):
    """Box (B, 4) as y_min, x_min, y_max, x_max in [0, 1], and logits of heatmaps (B, 4 or 1, h, w).

    The heatmaps are of the four edges, in the order of the box, or one of the box's centre.
    """

    box: Tensor
    heat: Tensor

    @property
    def by_edges(self) -> bool:
        """Whether the heatmaps are of the edges."""
        return self.heat.shape[1] == 4


class RegressionOutput(NamedTuple):
    """Points (B, K, 2) as (y, x) in [0, 1], and the logits of their heatmaps (B, K, h, w)."""

    points: Tensor
    heat: Tensor


Output = SegmentationOutput | ClassificationOutput | DetectionOutput | RegressionOutput
TrainingOutput = Output | ClassificationReadings
"""What a network answers while it is in training mode."""


def cell_centres(count: int, device: torch.device) -> Tensor:
    """Return the centres of `count` cells along an axis, in [0, 1], as (count,)."""
    return (torch.arange(count, device=device) + 0.5) / count


def grid_centres(height: int, width: int, device: torch.device) -> Tensor:
    """Return (y, x) of the cell centres of a map, in [0, 1], as (h * w, 2)."""
    y, x = cell_centres(height, device), cell_centres(width, device)
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).reshape(-1, 2)


def soft_argmax(heat: Tensor) -> Tensor:
    """Expected (y, x) in [0, 1] under the softmax of each heatmap: (B, K, h, w) logits -> (B, K, 2)."""
    weights = heat.float().flatten(2).softmax(dim=-1)
    return weights @ grid_centres(heat.shape[-2], heat.shape[-1], heat.device)


def _dense_head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), norm_act(width), nn.Conv2d(width, outputs, 1))


def edge_profiles(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Sum heatmaps of edges along the edges: logits of where they lie.

    Parameters
    ----------
    heat : Tensor, (B, 4, h, w)
        Logits for y_min, x_min, y_max, x_max.

    Returns
    -------
    rows : Tensor, (B, 2, h)
        Of y_min and y_max; its softmax is the sum over columns of the heatmap's.
    columns : Tensor, (B, 2, w)
        Of x_min and x_max.
    """
    heat = heat.float()
    return heat[:, 0::2].logsumexp(dim=3), heat[:, 1::2].logsumexp(dim=2)


class SegmentationHead(nn.Module):
    """Masks at stride 4; the caller enlarges the logits."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.body = _dense_head(width, num_classes)

    def forward(self, features: Features) -> SegmentationOutput:
        assert features.dense is not None
        return SegmentationOutput(self.body(features.dense).float())


class ClassificationHead(nn.Module):
    """Attention pooling beside mean pooling over the patch tokens, then a linear layer.

    With `deep` channels of a stem's deepest map a second linear layer reads that map's mean and maximum, and the answer
    is the mean of both probabilities. Each is trained on its own, and the second does not train the stem: a map that
    knew ImageNet before is soon fitted to a few hundred images, and would leave the tokens nothing to learn.
    """

    def __init__(self, dim: int, num_classes: int, deep: int = 0) -> None:
        super().__init__()
        self.attention = nn.Linear(dim, 1)
        self.norm = nn.LayerNorm(2 * dim)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(2 * dim, num_classes)
        self.deep_norm = nn.LayerNorm(2 * deep) if deep else None
        self.deep_out = nn.Linear(2 * deep, num_classes) if deep else None

    def forward(self, features: Features) -> ClassificationOutput | ClassificationReadings:
        tokens = features.tokens
        weights = self.attention(tokens).softmax(dim=1)
        pooled = torch.cat([(weights * tokens).sum(dim=1), tokens.mean(dim=1)], dim=-1)
        logits = self.out(self.dropout(self.norm(pooled))).float()
        if self.deep_norm is None or self.deep_out is None:
            return ClassificationOutput(logits)
        assert features.deep is not None
        maps = features.deep.detach().flatten(2)
        seen = torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=-1)
        second = self.deep_out(self.dropout(self.deep_norm(seen))).float()
        both = ClassificationReadings(torch.stack([logits, second], dim=1))
        return both if self.training else both.mean()


class CentreBoxHead(nn.Module):
    """One box: a heatmap of its centre weighs what every cell says of the distances to the four edges.

    CenterNet-like (arXiv 1904.07850), but read by a weighted mean instead of the peak, so that training reaches every
    cell that the answer comes from.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = _dense_head(width, 5)

    def forward(self, features: Features) -> DetectionOutput:
        assert features.dense is not None
        maps = self.body(features.dense).float()
        heat, distances = maps[:, :1], torch.sigmoid(maps[:, 1:]).flatten(2)
        weights = heat.flatten(2).softmax(dim=-1)
        centres = grid_centres(maps.shape[-2], maps.shape[-1], maps.device)
        corners = torch.cat([centres.T - distances[:, :2], centres.T + distances[:, 2:]], dim=1)
        return DetectionOutput((weights * corners).sum(dim=-1).clamp(0, 1), heat)


class EdgeBoxHead(nn.Module):
    """One box: a heatmap for each of its edges, read by the expectation across the edge.

    Extreme points instead of a centre and distances, after ExtremeNet (arXiv 1901.08043): a border is told where
    it is seen. Read like keypoints, not by the peak: training reaches every cell that the answer comes from.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = _dense_head(width, 4)

    def forward(self, features: Features) -> DetectionOutput:
        assert features.dense is not None
        heat = self._tilted(self.body(features.dense).float())
        points = soft_argmax(heat)
        edges = torch.stack([points[:, 0, 0], points[:, 1, 1], points[:, 2, 0], points[:, 3, 1]], dim=1)
        return DetectionOutput(edges, heat)

    @staticmethod
    def _tilted(heat: Tensor) -> Tensor:
        """Lean each edge towards its own side: before training the box is the middle half, not a point without area."""
        y = cell_centres(heat.shape[-2], heat.device)[:, None].expand(heat.shape[-2:])
        x = cell_centres(heat.shape[-1], heat.device)[None].expand(heat.shape[-2:])
        return heat + TILT * torch.stack([-y, -x, y, x])


class RegressionHead(nn.Module):
    """One heatmap a point, read by soft-argmax (integral regression, arXiv 1711.08229)."""

    def __init__(self, width: int, num_points: int) -> None:
        super().__init__()
        self.body = _dense_head(width, num_points)

    def forward(self, features: Features) -> RegressionOutput:
        assert features.dense is not None
        heat = self.body(features.dense).float()
        return RegressionOutput(soft_argmax(heat), heat)


def make_head(task: Task, dim: int, width: int, boxes: Literal["edges", "centre"], deep: int = 0) -> nn.Module:
    """Return a fresh head for a task on `dim` token channels, `width` of the decoder and `deep` of a stem."""
    if task.type == "segmentation":
        return SegmentationHead(width, task.num_classes)
    if task.type == "classification":
        return ClassificationHead(dim, task.num_classes, deep)
    if task.type == "detection":
        return EdgeBoxHead(width) if boxes == "edges" else CentreBoxHead(width)
    return RegressionHead(width, task.num_classes)
