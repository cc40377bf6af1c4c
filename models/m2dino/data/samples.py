"""Labelled frames as tensors, ready for the network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from m2dino.cine.loop import Frame
from m2dino.data.augment import Augmentation, augment
from m2dino.data.fmuia import Row, load_image
from m2dino.data.letterbox import Letterbox
from m2dino.data.picture_cache import PictureCache
from m2dino.data.records import Record
from m2dino.data.row_values import label_value
from m2dino.data.same_bytes import same_bytes
from m2dino.data.scanner import Pixels
from m2dino.data.seen import as_seen, crop_within
from m2dino.data.store_reader import StoreReader
from m2dino.data.targets import Placed, place, place_together
from m2dino.errors import DatasetError
from m2dino.tasks import Task
from m2dino.values import ClassProbabilities, Mask, Value

ROOM = 1.25
"""Pictures are kept this much larger than the network's square, so that zooming in does not blur them."""


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


class GroupSample(NamedTuple):
    """One image and its targets for several tasks, all of one augmentation.

    Attributes
    ----------
    image : Tensor, (3, S, S) uint8
    targets : tuple of Tensor
        Each as in `Sample.target`, in the order of the key's rows.
    """

    image: Tensor
    targets: tuple[Tensor, ...]


class GroupKey(NamedTuple):
    """Rows of one image, and the seed of their augmentation; None for no augmentation."""

    rows: tuple[int, ...]
    seed: int | None


class SampleMaker:
    """Turns a letterboxed image and values in original pixels into a sample, augmented or not.

    Parameters
    ----------
    tasks : mapping of str to Task
    size : int
        Side of the network's square, px.
    how : Augmentation
    """

    def __init__(self, tasks: Mapping[str, Task], size: int, how: Augmentation | None = None) -> None:
        self.tasks, self.size = tasks, size
        self.how = how or Augmentation()

    def make(self, image: Tensor, box: Letterbox, value: Value, task_id: str, seed: int | None) -> Sample:
        """Return a sample.

        Parameters
        ----------
        image : Tensor, (3, M, M) uint8
            As from `box.image_in`; without a seed M must be S.
        box : Letterbox
        value : Value
            In original-frame pixels.
        task_id : str
        seed : int or None
            Of the augmentation; None for none.
        """
        made = self.group(pixels_of(image), [place(value, box)], [task_id], seed)
        return Sample(made.image, made.targets[0])

    def group(self, pixels: Pixels, placed: Sequence[Placed], task_ids: Sequence[str], seed: int | None) -> GroupSample:
        """Return one image with the targets of several tasks.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (M, M) or (M, M, 3)
            Letterboxed; without a seed M must be S.
        placed : sequence of Placed
            The labels in the same square; see `m2dino.data.targets.place_together`.
        task_ids : sequence of str
            The task of each.
        seed : int or None
        """
        if seed is not None:
            tasks = [self.tasks[task_id] for task_id in task_ids]
            pixels, placed = augment(pixels, placed, tasks, self.size, seed, self.how)
        if pixels.shape[0] != self.size:
            raise ValueError(f"a picture of {pixels.shape[0]} px is no sample of {self.size} px")
        return GroupSample(_as_tensor(pixels), tuple(target.tensor() for target in placed))


class CorrectedFrame:
    """A record of the store with a value, as training data."""

    def __init__(self, store: StoreReader, record: Record) -> None:
        if record.value is None:
            raise ValueError("a rejected record has nothing to train on")
        self._store, self.record = store, record
        self._value: Value | None = None
        self.task_id = record.task_id

    @cached_property
    def key(self) -> Hashable:
        """What is shown: the same part of the same frame has the same key."""
        loop_id, frame, region = self.record.loop_id, self.record.frame, self.record.region
        # The region alone does not tell: a label that leaves it is learnt in the whole frame, another's is not.
        size = None if region is None else self._store.frame_size(loop_id, frame)
        crop = None if size is None else crop_within(self.record, *size)
        return (loop_id, frame, None if crop is None else crop.region)

    def frame(self) -> Frame:
        """Return the part of the frame that the network is shown of this loop."""
        seen, self._value = as_seen(self.record, self._store.frame(self.record.loop_id, self.record.frame))
        return seen

    def value(self) -> Value:
        """Return the label in pixels of `frame()`."""
        if isinstance(self.record.value, ClassProbabilities):
            return self.record.value
        if self._value is None:
            self.frame()
        assert self._value is not None
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
        How much memory letterboxed images and labels may fill, in each process; beyond it they are decoded again.
    how : Augmentation, optional
    """

    def __init__(
        self,
        rows: Sequence[Row | CorrectedFrame],
        tasks: dict[str, Task],
        size: int,
        cache_bytes: int = 2**30,
        how: Augmentation | None = None,
    ) -> None:
        self.rows = list(rows)
        self.tasks = tasks
        self.size = size
        self._maker = SampleMaker(tasks, size, how)
        self._cache = PictureCache(cache_bytes)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: SampleKey) -> Sample:
        made = self.group(GroupKey((key.row,), key.seed))
        return Sample(made.image, made.targets[0])

    @cached_property
    def rows_by_image(self) -> dict[Hashable, list[int]]:
        """Indices of the rows of each image, in order; files of the same bytes are one image.

        Raises
        ------
        MissingFileError
            An image has gone since the rows were read.
        """
        names = same_bytes(row.image for row in self.rows if isinstance(row, Row))
        found: dict[Hashable, list[int]] = {}
        for index, row in enumerate(self.rows):
            found.setdefault(names[row.image] if isinstance(row, Row) else row.key, []).append(index)
        return found

    def group(self, key: GroupKey) -> GroupSample:
        """Return one image with the targets of several of its rows: one decoding, one augmentation.

        Raises
        ------
        DatasetError
            The image or a mask is missing or damaged, or they differ in size.
        """
        rows = [self.rows[index] for index in key.rows]
        # Without augmentation the picture must be placed to the pixel as for a prediction.
        side = self.size if key.seed is None else round(self.size * ROOM)
        pixels, box = self._cache.get((_key(rows[0]), side), lambda: _picture(rows[0], side))
        placed = self._cache.get((key.rows, side), lambda: place_together([_value(row, box) for row in rows], box))
        return self._maker.group(pixels, placed, [row.task_id for row in rows], key.seed)


class GroupedFrames(Dataset[GroupSample]):
    """The same frames, asked for by `GroupKey`: a view for a DataLoader."""

    def __init__(self, frames: LabelledFrames) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames.rows_by_image)

    def __getitem__(self, key: GroupKey) -> GroupSample:
        return self.frames.group(key)


def _key(row: Row | CorrectedFrame) -> Hashable:
    return row.image if isinstance(row, Row) else row.key


def _value(row: Row | CorrectedFrame, box: Letterbox) -> Value:
    value = label_value(row) if isinstance(row, Row) else row.value()
    # Stretched to fit, a mask of another size would teach the wrong place without a word.
    if isinstance(value, Mask) and value.labels.shape != (box.height, box.width):
        height, width = value.labels.shape
        where = f"{row.csv}, line {row.line}: the mask" if isinstance(row, Row) else f"{row.task_id}: a stored mask"
        raise DatasetError(
            f"{where} is {width} wide and {height} high, its image {box.width} wide and {box.height} high."
        )
    return value


def _picture(row: Row | CorrectedFrame, side: int) -> tuple[Pixels, Letterbox]:
    frame = load_image(row.image) if isinstance(row, Row) else row.frame()
    # Most ultrasound is grey: one channel costs a third, in time and in the cache.
    image, box = letterboxed(frame[..., :1] if _is_grey(frame) else frame, side)
    return pixels_of(image), box


def _is_grey(frame: Frame) -> bool:
    red, green, blue = frame[..., 0], frame[..., 1], frame[..., 2]
    return np.array_equal(red, green) and np.array_equal(red, blue)


def pixels_of(image: Tensor) -> Pixels:
    """(3, S, S) or (1, S, S) uint8 -> (S, S) where all channels are the same, else (S, S, 3)."""
    array = image.numpy()
    if len(array) == 1 or _is_grey(np.moveaxis(array, 0, -1)):
        return np.ascontiguousarray(array[0])
    return np.ascontiguousarray(np.moveaxis(array, 0, -1))


def _as_tensor(pixels: Pixels) -> Tensor:
    rgb = np.broadcast_to(pixels, (3, *pixels.shape)) if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return torch.from_numpy(np.array(rgb, order="C"))


def letterboxed(frame: Frame, size: int) -> tuple[Tensor, Letterbox]:
    """Return a frame as the network takes it, and how it was placed."""
    box = Letterbox(frame.shape[0], frame.shape[1], size)
    return box.image_in(frame), box


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples of one task."""
    return Sample(torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples]))


def collate_groups(samples: Sequence[GroupSample]) -> GroupSample:
    """Stack samples of the same tasks in the same order: images (B, 3, S, S), and each task's targets."""
    targets = zip(*(sample.targets for sample in samples), strict=True)
    return GroupSample(torch.stack([s.image for s in samples]), tuple(torch.stack(each) for each in targets))
