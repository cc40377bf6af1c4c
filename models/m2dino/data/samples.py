"""Labelled rows as tensors, ready for the network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from m2dino.data.augment import build_augmentation, plain_pipeline
from m2dino.data.fmuia import Row, load_image, load_mask
from m2dino.data.letterbox import Letterbox
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints


class Sample(NamedTuple):
    """One image and its target.

    Attributes
    ----------
    image : Tensor, (3, S, S) uint8
    target : Tensor
        segmentation: (S, S) int64 class indices; classification: () int64; detection: (4,) float32, y_min, x_min,
        y_max, x_max in [0, 1]; regression: (K, 2) float32, (y, x) in [0, 1], NaN where not visible.
    """

    image: Tensor
    target: Tensor


class SampleKey(NamedTuple):
    """Which row, and the seed of its augmentation; None for no augmentation."""

    row: int
    seed: int | None


class LabelledFrames(Dataset[Sample]):
    """Rows of one or several tasks, decoded when asked for.

    Parameters
    ----------
    rows : sequence of Row
    tasks : dict of str to Task
        Definition of every task in the rows.
    size : int
        Side of the network's square, px.
    cache_bytes : int
        How much memory letterboxed images may fill; beyond it they are decoded again.
    """

    def __init__(self, rows: Sequence[Row], tasks: dict[str, Task], size: int, cache_bytes: int = 1024 * 2**20) -> None:
        self.rows = list(rows)
        self.tasks = tasks
        self.size = size
        self._pipelines = {task_id: build_augmentation(task) for task_id, task in tasks.items()}
        self._plain = plain_pipeline()
        self._cache: OrderedDict[Path, tuple[Tensor, tuple[int, int]]] = OrderedDict()
        self._cache_entries = max(1, cache_bytes // (3 * size * size))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: SampleKey) -> Sample:
        row = self.rows[key.row]
        image, (height, width) = self._image(row.image)
        box = Letterbox(height, width, self.size)
        target = self._target(row, box)
        if key.seed is None:
            image, target = self._plain(tv_tensors.Image(image), target)
        else:
            # The transforms draw from torch's global generator: fork it, so that a sample depends on its seed alone.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(key.seed)
                image, target = self._pipelines[row.task_id](tv_tensors.Image(image), target)
        return Sample(image.as_subclass(Tensor), self._as_tensor(target))

    def _image(self, path: Path) -> tuple[Tensor, tuple[int, int]]:
        entry = self._cache.get(path)
        if entry is None:
            frame = load_image(path)
            shape = (frame.shape[0], frame.shape[1])
            entry = Letterbox(*shape, self.size).image_in(frame), shape
            self._cache[path] = entry
            if len(self._cache) > self._cache_entries:
                self._cache.popitem(last=False)
        self._cache.move_to_end(path)
        return entry

    def _target(self, row: Row, box: Letterbox) -> object:
        canvas = (self.size, self.size)
        if row.type == "segmentation":
            return tv_tensors.Mask(box.mask_in(load_mask(row).labels))
        if isinstance(row.label, Box):
            edges = box.edges_in(np.array(row.label.as_tuple()).reshape(2, 2)) * self.size
            xyxy = torch.tensor(edges[:, ::-1].reshape(1, 4).copy(), dtype=torch.float32)
            return tv_tensors.BoundingBoxes(xyxy, format="XYXY", canvas_size=canvas)  # type: ignore[call-overload]
        if isinstance(row.label, Keypoints):
            # Pixel-centre coordinates here; the pipeline shifts them to edges.
            placed = box.points_in(row.label.points) * self.size - 0.5
            return tv_tensors.KeyPoints(torch.tensor(placed[:, ::-1].copy(), dtype=torch.float32), canvas_size=canvas)
        return row.label

    def _as_tensor(self, target: object) -> Tensor:
        if isinstance(target, tv_tensors.Mask):
            return target.as_subclass(Tensor).long()
        if isinstance(target, tv_tensors.BoundingBoxes):
            xyxy = target.as_subclass(Tensor)[0] / self.size
            return xyxy[[1, 0, 3, 2]]
        if isinstance(target, tv_tensors.KeyPoints):
            points = target.as_subclass(Tensor).flip(-1) / self.size
            outside = ((points < 0) | (points > 1)).any(dim=-1, keepdim=True)
            return torch.where(outside, torch.nan, points)
        return torch.tensor(target, dtype=torch.int64)


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples of one task."""
    return Sample(torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples]))
