"""Where a run stands, on disk: enough to go on after a kill. Safetensors, like everything else that is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from m2dino.errors import NotACheckpointError, TrainingError
from m2dino.network.card import read_metadata
from m2dino.network.checkpoint import read_tensors, write_tensors

FORMAT = "m2dino-resume"


def run_folder(checkpoint: Path) -> Path:
    """Return the folder of the run that makes a checkpoint; see `run_folder.RunFolder`."""
    # Not what the name has before its last dot: exp-0.25 and exp-0.5 are two runs.
    return checkpoint.with_name(f"{checkpoint.name.removesuffix('.safetensors')}.run")


def resume_path(checkpoint: Path) -> Path:
    """Return where the state of a run towards `checkpoint` is kept."""
    return run_folder(checkpoint) / "resume.safetensors"


def save_state(
    path: Path, weights: dict[str, Tensor], average: dict[str, Tensor], optimizer: AdamW, about: dict[str, Any]
) -> None:
    """Write the state of a run.

    Parameters
    ----------
    path : Path
    weights, average : dict of str to Tensor
        Trained parameters and their moving average, by name, in the optimizer's order.
    optimizer : AdamW
    about : dict
        Plain data: step, seconds, settings, signature of the data, checks.

    Raises
    ------
    CheckpointWriteError
        Nothing was written; an earlier state is untouched.
    """
    tensors = {f"weights.{key}": value for key, value in weights.items()}
    tensors |= {f"average.{key}": value for key, value in average.items()}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in entry.items()}
    write_tensors(tensors, {"format": FORMAT, "about": json.dumps(about)}, path)


def read_about(path: Path) -> dict[str, Any]:
    """Return the plain data of a state.

    Raises
    ------
    TrainingError
        The file is not a state, or cut short.
    """
    try:
        metadata = read_metadata(path)
        if metadata.get("format") != FORMAT:
            raise ValueError("another kind of file")
        about: dict[str, Any] = json.loads(metadata["about"])
    except (NotACheckpointError, ValueError, KeyError) as error:
        raise TrainingError(f"{path}: the interrupted run cannot be read; delete the file to start anew.") from error
    return about


@torch.no_grad()
def load_state(path: Path, weights: dict[str, Tensor], average: dict[str, Tensor], optimizer: AdamW) -> None:
    """Fill weights, average and optimizer from a state, in place.

    Raises
    ------
    TrainingError
        The state is damaged or of another network.
    """
    try:
        tensors = read_tensors(path)
        for name, into in (("weights", weights), ("average", average)):
            for key, value in into.items():
                value.copy_(tensors[f"{name}.{key}"])
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, field = key.split(".")
                state.setdefault(int(index), {})[field] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    except (NotACheckpointError, KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(f"{path}: the interrupted run does not fit; delete the file to start anew.") from error
