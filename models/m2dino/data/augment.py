"""Augmentation of ultrasound frames: one torchvision pipeline for image, mask, box and keypoints alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from m2dino.tasks import Task


class EdgeCoordinates(v2.Transform):
    """Shift keypoints from pixel-centre to edge coordinates.

    torchvision mirrors keypoints about the centre of pixels but moves them affinely about the edges of the image; the
    shift by half a pixel between the two makes both exact.
    """

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.KeyPoints):
            return tv_tensors.wrap(inpt.as_subclass(Tensor) + 0.5, like=inpt)
        return inpt


class ScannerGain(v2.Transform):
    """Change what the knobs of a scanner change: gain, dynamic range (gamma), and speckle; images only."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        gamma, gain, speckle = torch.rand(3).tolist()
        return {
            "gamma": 0.6 * (1.6 / 0.6) ** gamma,
            "gain": 0.75 + 0.5 * gain,
            "speckle": 0.12 * speckle,
            "noise": torch.randn(1, 128, 128),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        image = (inpt.float() / 255) ** params["gamma"] * params["gain"]
        # Speckle is multiplicative and correlated over a few pixels.
        noise = v2.functional.resize(params["noise"], list(image.shape[-2:]), antialias=False)
        image = image * (1 + params["speckle"] * noise)
        return tv_tensors.wrap((image.clamp(0, 1) * 255).round().to(torch.uint8), like=inpt)


def build_augmentation(task: Task) -> v2.Compose:
    """Return the training pipeline of a task, for letterboxed uint8 images and tv_tensors targets.

    Mirroring is left out where left and right belong to the label. Boxes are not rotated: the box around a rotated box
    is too large.
    """
    steps: list[v2.Transform] = []
    if task.horizontal_flip:
        steps.append(v2.RandomHorizontalFlip(0.5))
    degrees = 0 if task.type == "detection" else 15
    steps += [
        EdgeCoordinates(),
        v2.RandomAffine(
            degrees=degrees,
            translate=(0.08, 0.08),
            scale=(0.8, 1.25),
            interpolation=v2.InterpolationMode.BILINEAR,
        ),
        v2.RandomApply([ScannerGain()], p=0.8),
        v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 1.2))], p=0.15),
    ]
    return v2.Compose(steps)


def plain_pipeline() -> v2.Compose:
    """Return the pipeline of validation: no change, keypoints in the same coordinates as after training's."""
    return v2.Compose([EdgeCoordinates()])
