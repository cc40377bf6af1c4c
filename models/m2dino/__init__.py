"""M2DINO: one ultrasound network for segmentation, classification, detection and keypoint regression.

The engine of napari-m2dino, without Qt and without napari. Importing it imports neither torch nor a codec; each comes
with the first name that needs it. For research use, not for clinical decisions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m2dino.cine import open_loop, open_loops
    from m2dino.data.store import Store
    from m2dino.predictor import load_model, predict
    from m2dino.tasks import Task, load_tasks

__version__ = "0.1.0"
__all__ = ["Store", "Task", "__version__", "load_model", "load_tasks", "open_loop", "open_loops", "predict"]

_HOME = {
    "open_loop": "m2dino.cine",
    "open_loops": "m2dino.cine",
    "load_model": "m2dino.predictor",
    "predict": "m2dino.predictor",
    "Store": "m2dino.data.store",
    "Task": "m2dino.tasks",
    "load_tasks": "m2dino.tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'm2dino' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
