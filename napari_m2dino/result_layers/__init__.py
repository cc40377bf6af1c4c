"""Results as layers: one class a task type, all with the same few methods (`base.ResultLayer`)."""

from __future__ import annotations

from napari_m2dino.result_layers.base import ResultLayer, result_of
from napari_m2dino.result_layers.boxes import BoxLayer
from napari_m2dino.result_layers.classes import ClassResult
from napari_m2dino.result_layers.masks import MaskLayer
from napari_m2dino.result_layers.points import KeypointLayer

KINDS: dict[str, type[ResultLayer]] = {
    "segmentation": MaskLayer,
    "detection": BoxLayer,
    "regression": KeypointLayer,
    "classification": ClassResult,
}

__all__ = ["KINDS", "ResultLayer", "result_of"]
