"""Real frames and masks of the sample loop, and a store to put them in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from m2dino.data.image_files import load_image, mask_pixels
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Prediction
from numpy.typing import NDArray

LOOP = "0123456789abcdef" * 2
MASKS = Path(__file__).parents[1] / "data" / "carotid_masks"


@dataclass(frozen=True)
class Case:
    """A task of each type, frames of one loop, and a record for any of them."""

    loop: str
    frames: list[NDArray[np.uint8]]
    masks: list[Mask]
    tasks: dict[str, Task]

    def record(self, kind: str, frame: int, fate: str = "edited", loop: str = "", **more: object) -> Record:
        task = self.tasks[kind]
        box = Box(1, 2 + frame, 30.5, 50)
        value = {
            "segmentation": self.masks[frame],
            "classification": ClassProbabilities.certain(frame % 3, 3),
            "detection": box,
            "regression": Keypoints(np.array([[frame, 2.25], [np.nan, np.nan], [7, 8]])),
        }[kind]
        proposal = Prediction(frame, task.id, value, 0.5, "model-1")
        known = {"proposal": proposal, "author": "me", "seconds": 2.5, **more}
        return Record(loop or self.loop, frame, task.id, fate, None if fate == "rejected" else value, **known)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def case() -> Case:
    folder = Path(str(files("napari_m2dino"))) / "samples" / "carotid"
    labels = {
        "classification": ("view_cls", ("a", "b", "c")),
        "detection": ("lumen_det", ("lumen",)),
        "regression": ("lumen_points", ("near", "far", "end")),
    }
    tasks = {
        kind: Task(task_id, kind, tuple(Label(name) for name in names), task_id)  # type: ignore[arg-type]
        for kind, (task_id, names) in labels.items()
    }
    return Case(
        LOOP,
        [load_image(folder / f"{i:03}.jpg")[::3, ::3] for i in range(12)],
        [Mask(mask_pixels(MASKS / f"{i:03}.png")[::3, ::3]) for i in range(12)],
        {"segmentation": builtin_tasks()["carotid_artery"], **tasks},
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store
