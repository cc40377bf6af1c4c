"""A short fine-tune on made-up frames, to learn how fast this computer is before a person asks for a real one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.device import choose_device
from m2dino.network.card import read_card
from m2dino.progress import ShouldStop, never_stop
from m2dino.tasks import Task
from m2dino.training.finetune import finetune
from m2dino.training.finetune_settings import FinetuneSettings
from m2dino.training.speed import Speed, key_of, remembered
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

SIDE = 512
"""Of the made-up frames, px: between the sizes that are common in cine loops."""
FRAMES = 10
SETTINGS = FinetuneSettings(steps=10, pictures=16, checks=1)
"""Eight steps of the cheap kind and two of the other: about five seconds on one core with the bundled network."""


def measure_speed(
    checkpoint: Path,
    task: Task,
    device: str = "auto",
    *,
    cache: Path | None = None,
    should_stop: ShouldStop = never_stop,
) -> Speed | None:
    """Fine-tune for a few steps in a temporary folder, and keep how long its parts took (isolated form).

    Parameters
    ----------
    checkpoint : Path
    task : Task
        What it costs depends on its type and its number of classes.
    device : str
    cache : Path, optional
        Folder of the measured speeds; by default in the user's cache.
    should_stop : callable

    Raises
    ------
    TrainingError
        Stopped.
    NotACheckpointError, DeviceError, StoreWriteError
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="m2dino-trial-") as name:
        folder = Path(name)
        with Store.open(folder / "store", create=True) as store:
            for index in range(FRAMES):
                frame = np.repeat(rng.integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8), 3, axis=2)
                store.save(Record(f"{0:032x}", index, task.id, "edited", _made_up(task, index)), frame, task)
            out = folder / "trial.safetensors"
            finetune(
                store, task.id, checkpoint, out, settings=SETTINGS, device=device, cache=cache, should_stop=should_stop
            )
    return remembered(key_of(read_card(checkpoint), task, "isolated", choose_device(device).type), cache)


def _made_up(task: Task, index: int) -> Value:
    """Return a label of a type: it only has to cost what a real one does."""
    if task.type == "segmentation":
        labels = np.zeros((SIDE, SIDE), np.uint8)
        labels[100:200, 50 + 20 * index : 200 + 20 * index] = 1 + index % (task.num_classes - 1)
        return Mask(labels)
    if task.type == "classification":
        return ClassProbabilities.certain(index % task.num_classes, task.num_classes)
    if task.type == "detection":
        return Box(100, 50 + 20 * index, 200, 200 + 20 * index)
    return Keypoints(np.linspace((100.0, 100.0), (300.0, 300.0 + index), task.num_classes))
