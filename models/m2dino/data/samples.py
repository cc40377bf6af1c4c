"""Labelled frames as tensors, ready for the network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from m2dino.cine.loop import Frame
from m2dino.data.augment import build_augmentation, plain_pipeline
from m2dino.data.fmuia import Row, load_image
from m2dino.data.letterbox import Letterbox
from m2dino.data.records import Record
from m2dino.data.row_values import label_value
from m2dino.data.store_reader import StoreReader
from m2dino.tasks import Task
from m2dino.values import Box, Keypoints, Mask, Value


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


class SampleMaker:
    """Turns a letterboxed image and a value in original pixels into a sample, augmented or not.

    Parameters
    ----------
    tasks : mapping of str to Task
    size : int
        Side of the network's square, px.
    """

    def __init__(self, tasks: Mapping[str, Task], size: int) -> None:
        self.size = size
        self._pipelines = {task_id: build_augmentation(task) for task_id, task in tasks.items()}
        self._plain = plain_pipeline()

    def make(self, image: Tensor, box: Letterbox, value: Value, task_id: str, seed: int | None) -> Sample:
        """Return a sample.

        Parameters
        ----------
        image : Tensor, (3, S, S) uint8
            As from `box.image_in`.
        box : Letterbox
        value : Value
            In original-frame pixels.
        task_id : str
        seed : int or None
            Of the augmentation; None for none.
        """
        target = self._placed(value, box)
        if seed is None:
            image, target = self._plain(tv_tensors.Image(image), target)
        else:
            # The transforms draw from torch's global generator: fork it, so that a sample depends on its seed alone.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                image, target = self._pipelines[task_id](tv_tensors.Image(image), target)
        return Sample(image.as_subclass(Tensor), self._as_tensor(target))

    def _placed(self, value: Value, box: Letterbox) -> object:
        canvas = (self.size, self.size)
        if isinstance(value, Mask):
            return tv_tensors.Mask(box.mask_in(value.labels))
        if isinstance(value, Box):
            edges = box.edges_in(np.array(value.as_tuple()).reshape(2, 2)) * self.size
            xyxy = torch.tensor(edges[:, ::-1].reshape(1, 4).copy(), dtype=torch.float32)
            return tv_tensors.BoundingBoxes(xyxy, format="XYXY", canvas_size=canvas)
        if isinstance(value, Keypoints):
            # Pixel-centre coordinates here; the pipeline shifts them to edges.
            placed = box.points_in(value.points) * self.size - 0.5
            return tv_tensors.KeyPoints(torch.tensor(placed[:, ::-1].copy(), dtype=torch.float32), canvas_size=canvas)
        return value.index

    def _as_tensor(self, target: object) -> Tensor:
        if isinstance(target, tv_tensors.Mask):
            mask: Tensor = target.as_subclass(Tensor)
            return mask.long()
        if isinstance(target, tv_tensors.BoundingBoxes):
            xyxy: Tensor = target.as_subclass(Tensor)[0] / self.size
            return xyxy[[1, 0, 3, 2]]
        if isinstance(target, tv_tensors.KeyPoints):
            points = target.as_subclass(Tensor).flip(-1) / self.size
            outside = ((points < 0) | (points > 1)).any(dim=-1, keepdim=True)
            return torch.where(outside, torch.nan, points)
        return torch.tensor(target, dtype=torch.int64)


class CorrectedFrame:
    """A record of the store with a value, as training data."""

    def __init__(self, store: StoreReader, record: Record) -> None:
        if record.value is None:
            raise ValueError("a rejected record has nothing to train on")
        self._store, self.record, self._value = store, record, record.value
        self.task_id = record.task_id

    @property
    def key(self) -> tuple[str, int]:
        return (self.record.loop_id, self.record.frame)

    def frame(self) -> Frame:
        return self._store.frame(self.record.loop_id, self.record.frame)

    def value(self) -> Value:
        return self._value


class LabelledFrames(Dataset[Sample]):
    """Labelled images of one or several tasks, decoded when asked for.

    Parameters
    ----------
    rows : sequence of Row or CorrectedFrame
        The latter read a database, which worker processes must not share: load them without workers.
    tasks : dict of str to Task
        Definition of every task in the rows.
    size : int
        Side of the network's square, px.
    cache_bytes : int
        How much memory letterboxed images may fill; beyond it they are decoded again.
    """

    def __init__(
        self, rows: Sequence[Row | CorrectedFrame], tasks: dict[str, Task], size: int, cache_bytes: int = 2**30
    ) -> None:
        self.rows = list(rows)
        self.tasks = tasks
        self.size = size
        self._maker = SampleMaker(tasks, size)
        self._cache: OrderedDict[Hashable, tuple[Tensor, Letterbox]] = OrderedDict()
        self._cache_entries = max(1, cache_bytes // (3 * size * size))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: SampleKey) -> Sample:
        row = self.rows[key.row]
        image, box = self._image(row)
        value = label_value(row) if isinstance(row, Row) else row.value()
        return self._maker.make(image, box, value, row.task_id, key.seed)

    def _image(self, row: Row | CorrectedFrame) -> tuple[Tensor, Letterbox]:
        key = row.image if isinstance(row, Row) else row.key
        entry = self._cache.get(key)
        if entry is None:
            frame = load_image(row.image) if isinstance(row, Row) else row.frame()
            entry = letterboxed(frame, self.size)
            self._cache[key] = entry
            if len(self._cache) > self._cache_entries:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return entry


def letterboxed(frame: Frame, size: int) -> tuple[Tensor, Letterbox]:
    """Return a frame as the network takes it, and how it was placed."""
    box = Letterbox(frame.shape[0], frame.shape[1], size)
    return box.image_in(frame), box


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples of one task."""
    return Sample(torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples]))
