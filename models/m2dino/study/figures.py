"""The one figure of each held-out image, and how the tasks use the experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from m2dino.data.row_values import label_value
from m2dino.data.rows import Row
from m2dino.data.samples import LabelledFrames, SampleKey, collate
from m2dino.evaluation import predict_rows
from m2dino.network.card import HEADLINE
from m2dino.network.model import M2Dino
from m2dino.predictor import Model
from m2dino.progress import ShouldStop
from m2dino.scoring.geometry import iou, radial_error
from m2dino.scoring.masks import dice
from m2dino.study.results import Figure
from m2dino.tasks import Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

GATE_IMAGES = 16


def image_figure(task: Task, predicted: Value, truth: Value) -> float:
    """Return the headline metric of one image: Dice over the classes, 1 or 0 for a class, IoU, or the radial error."""
    if isinstance(predicted, Mask) and isinstance(truth, Mask):
        return float(np.mean(dice(predicted, truth, task.num_classes)))
    if isinstance(predicted, ClassProbabilities) and isinstance(truth, ClassProbabilities):
        return float(predicted.index == truth.index)
    if isinstance(predicted, Box) and isinstance(truth, Box):
        return iou(predicted, truth)
    assert isinstance(predicted, Keypoints)
    assert isinstance(truth, Keypoints)
    return radial_error(predicted, truth)


def figures(
    model: Model,
    held_out: Mapping[str, tuple[list[Row], list[int]]],
    tasks: Mapping[str, Task],
    should_stop: ShouldStop,
) -> dict[str, Figure]:
    """Score a model on each of its tasks; shorter when told to stop."""
    found = {}
    for task_id, (rows, subjects) in held_out.items():
        task = tasks[task_id]
        values = [
            image_figure(task, value, label_value(row))
            for row, value in predict_rows(model, rows, task, should_stop=should_stop)
        ]
        found[task_id] = Figure(HEADLINE[task.type], tuple(values), tuple(subjects))
    return found


@torch.no_grad()
def gates(net: M2Dino, held_out: Mapping[str, Sequence[Row]], device: torch.device) -> dict[str, list[list[float]]]:
    """Return the mean gate of every expert in every mixture, (blocks, experts), by task, over a few held-out images."""
    if not net.architecture.routed or net.architecture.num_experts == 1:
        return {}
    found = {}
    for block in net.backbone.mixtures:
        block.moe.keep_gates = True
    for task_id, rows in held_out.items():
        chosen = [rows[i * len(rows) // GATE_IMAGES] for i in range(GATE_IMAGES)] if len(rows) > GATE_IMAGES else rows
        frames = LabelledFrames(chosen, {task_id: net.tasks[task_id]}, net.architecture.image_size)
        images = collate([frames[SampleKey(i, None)] for i in range(len(frames))]).image
        net(net.normalise(images.to(device)), task_id)
        found[task_id] = [[round(float(gate), 4) for gate in row] for row in net.backbone.gate_report()]
    for block in net.backbone.mixtures:
        block.moe.keep_gates = False
    return found
