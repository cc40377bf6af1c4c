"""From the network's output to values in original-frame pixels, with a confidence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from m2dino.data.letterbox import Letterbox
from m2dino.network.ellipse import as_ellipse, axis_ends
from m2dino.network.heads import (
    ClassificationOutput,
    DetectionOutput,
    Output,
    RegressionOutput,
    SegmentationOutput,
    cell_centres,
    edge_profiles,
    grid_centres,
)
from m2dino.tasks import Outline
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

HEAT_RADIUS = 0.06  # of the square's side: how near its answer a heatmap's mass counts as agreeing with it


class Reading(NamedTuple):
    """A value and how sure the network is of it, in [0, 1]."""

    value: Value
    confidence: float


def split_output(output: Output) -> list[Output]:
    """Split a batch into outputs of one image each, on the CPU in float32."""
    count = output[0].shape[0]
    parts = [part.detach().float().cpu() for part in output]
    return [type(output)(*(part[i : i + 1] for part in parts)) for i in range(count)]


def read_output(
    output: Output, box: Letterbox, outline: Outline = "free", ellipse: SegmentationOutput | None = None
) -> Reading:
    """Read the output of one image (leading axis 1) into original pixels.

    A mask of the outline "ellipse" is read as the ellipse that fits it, where one does. Points that are the ends of the
    axes of an ellipse, which the network has outlined as well, are read as the means of both findings.

    The confidence of a mask is the Dice between it and the probabilities that it was cut from; of a class, its
    probability; of a box or of points, the share of the heatmap's mass near the answer.
    """
    if isinstance(output, SegmentationOutput):
        return _mask(output.logits[0], box, outline)
    if isinstance(output, ClassificationOutput):
        probabilities = output.logits[0].double().softmax(dim=0).numpy()
        return Reading(ClassProbabilities(probabilities), float(probabilities.max()))
    if isinstance(output, DetectionOutput):
        return _box(output, box)
    return _points(output, box, ellipse)


def _mask(logits: Tensor, box: Letterbox, outline: Outline) -> Reading:
    drawn = _labels(logits, box)
    probabilities = logits.softmax(dim=0)
    foreground = probabilities.argmax(dim=0) > 0
    best = probabilities.max(dim=0).values
    if foreground.any():
        soft = 1 - probabilities[0]
        confidence = float(2 * (best * foreground).sum() / (soft.sum() + foreground.sum()))
    else:
        confidence = float(probabilities[0].min())
    if outline == "ellipse" and logits.shape[0] == 2:
        drawn = as_ellipse(drawn, (logits[1] - logits[0]).numpy(), box)
    return Reading(Mask(drawn), float(np.clip(confidence, 0, 1)))


def _labels(logits: Tensor, box: Letterbox) -> NDArray[np.uint8]:
    """Return the class of each original pixel, (H, W)."""
    if logits.shape[0] > 2:
        return box.logits_out(logits).argmax(dim=0).to(torch.uint8).numpy()
    # Two classes need one map: half the work on large frames.
    return (box.logits_out(logits[1:] - logits[:1])[0] > 0).to(torch.uint8).numpy()


def _mass_near(heat: Tensor, points: Tensor) -> Tensor:
    """Share of each softmaxed heatmap (K, h, w) within HEAT_RADIUS of its point (K, 2)."""
    cells = grid_centres(heat.shape[-2], heat.shape[-1], heat.device)
    near = torch.linalg.vector_norm(cells[None] - points[:, None], dim=-1) <= HEAT_RADIUS
    share: Tensor = (heat.flatten(1).softmax(dim=-1) * near).sum(dim=-1)
    return share


def _edges_agree(heat: Tensor, edges: Tensor) -> float:
    """Mean share of the edges' heatmaps (4, h, w) within HEAT_RADIUS of the edges (4,), across them."""
    shares = []
    for profile, places in zip(edge_profiles(heat[None]), (edges[0::2], edges[1::2]), strict=True):
        cells = cell_centres(profile.shape[-1], heat.device)
        near = (cells - places[:, None]).abs() <= HEAT_RADIUS
        shares.append((profile[0].softmax(dim=-1) * near).sum(dim=-1).mean())
    return float(torch.stack(shares).mean())


def _box(output: DetectionOutput, box: Letterbox) -> Reading:
    edges = box.edges_out(output.box[0].double().numpy().reshape(2, 2))
    low, high = np.clip(edges, 0, (box.height, box.width))
    heat, found = output.heat[0], output.box[0]
    if output.by_edges:
        confidence = _edges_agree(heat, found)
    else:
        confidence = float(_mass_near(heat, (found[None, :2] + found[None, 2:]) / 2)[0])
    return Reading(Box(low[0], low[1], max(high[0], low[0]), max(high[1], low[1])), min(confidence, 1.0))


def _points(output: RegressionOutput, box: Letterbox, ellipse: SegmentationOutput | None) -> Reading:
    points = box.points_out(output.points[0].double().numpy())
    if ellipse is not None:
        logits = ellipse.logits[0]
        ends = axis_ends(points, _labels(logits, box), (logits[1] - logits[0]).numpy(), box)
        points = points if ends is None else (points + ends) / 2
    points = np.clip(points, -0.5, (box.height - 0.5, box.width - 0.5))
    confidence = float(_mass_near(output.heat[0], output.points[0]).mean())
    return Reading(Keypoints(points), min(confidence, 1.0))
