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
from m2dino.training.finetune_settings import FinetuneSettings, Form
from m2dino.training.speed import Speed, key_of, remembered
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Value

SIDE = 512
"""Of the made-up frames, px: between the sizes that are common in cine loops."""
FRAMES = 10
SETTINGS: dict[Form, FinetuneSettings] = {
    # Eight steps of the cheap kind and two of the other: about five seconds on one core with the bundled network.
    "isolated": FinetuneSettings(steps=10, pictures=16, checks=1),
    # Each comes with one of the other task; about twenty seconds.
    "shared": FinetuneSettings(steps=3, checks=1),
}


def measure_speed(
    checkpoint: Path,
    task: Task,
    device: str = "auto",
    form: Form = "isolated",
    *,
    cache: Path | None = None,
    should_stop: ShouldStop = never_stop,
) -> Speed | None:
    """Fine-tune for a few steps in a temporary folder, and keep how long its parts took.

    Parameters
    ----------
    checkpoint : Path
    task : Task
        What it costs depends on its type and its number of classes.
    device : str
    form : str
        isolated, or shared: then another task is replayed, if the checkpoint knows one.
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
    card = read_card(checkpoint)
    tasks = [task]
    if form == "shared":
        tasks += [report.task for name, report in card.tasks.items() if name != task.id][:1]
    with tempfile.TemporaryDirectory(prefix="m2dino-trial-") as name:
        folder = Path(name)
        with Store.open(folder / "store", create=True) as store:
            for number, each in enumerate(tasks):
                for index in range(FRAMES):
                    frame = np.repeat(rng.integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8), 3, axis=2)
                    record = Record(f"{number:032x}", index, each.id, "edited", _made_up(each, index))
                    store.save(record, frame, each)
            finetune(
                store,
                task.id,
                checkpoint,
                folder / "trial.safetensors",
                form=form,
                settings=SETTINGS[form],
                device=device,
                cache=cache,
                should_stop=should_stop,
            )
    return remembered(key_of(card, task, form, choose_device(device).type), cache)


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
