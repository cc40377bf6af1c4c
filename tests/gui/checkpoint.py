"""A real checkpoint, small and untrained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from m2dino.tasks import load_tasks

from napari_m2dino.torch_import import keep_triton_out


def write_checkpoint(path: Path, task_ids: Iterable[str], seed: int) -> Path:
    """Write a checkpoint of the tiny preset for small images, with random weights; return its path."""
    keep_triton_out()  # a window may have been open before
    import torch
    from m2dino.network.card import ModelCard, TaskReport
    from m2dino.network.checkpoint import save_checkpoint
    from m2dino.network.config import preset
    from m2dino.network.model import M2Dino

    torch.manual_seed(seed)
    tasks = [load_tasks()[task_id] for task_id in task_ids]
    architecture = preset("tiny").with_options(image_size=64)
    card = ModelCard(path.stem, architecture, {task.id: TaskReport(task, n_train=8) for task in tasks})
    save_checkpoint(M2Dino(architecture, tasks), card, path)
    return path
