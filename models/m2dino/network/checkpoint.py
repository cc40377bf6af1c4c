"""Checkpoints: one safetensors file, the model card in its metadata. No pickle is ever read."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm import is_model
from torch import Tensor

from m2dino.errors import CheckpointWriteError, NotACheckpointError
from m2dino.network.card import FORMAT, FORMAT_VERSION, ModelCard, read_card
from m2dino.network.model import M2Dino


def write_tensors(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Write a safetensors file so that `path` holds either all of it or what it held before.

    Raises
    ------
    CheckpointWriteError
        The folder cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        temporary = _temporary_beside(path)
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, temporary, metadata)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's file is private; a checkpoint is meant to be shared
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def check_place(path: Path) -> None:
    """Try whether a checkpoint can be written to `path`, making its folder: before the hours of work, not after.

    Raises
    ------
    CheckpointWriteError
        It cannot.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _temporary_beside(path).unlink()
    except OSError as error:
        raise _cannot_write(path, error) from error


def _temporary_beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
    os.close(handle)
    return Path(name)


def _cannot_write(path: Path, error: Exception) -> CheckpointWriteError:
    return CheckpointWriteError(
        f"{path}: the checkpoint cannot be written ({error}); free some space or choose another folder."
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises
    ------
    NotACheckpointError
        It is cut short or of another kind.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise NotACheckpointError(f"{path}: not a checkpoint, or cut short; copy it again ({error}).") from error
    return tensors


def content_id(title: str, state: dict[str, Tensor]) -> str:
    """Return a title-like id that differs whenever any weight does."""
    digest = hashlib.blake2b(digest_size=5)
    for key in sorted(state):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return f"{title}-{digest.hexdigest()}"


def save_checkpoint(
    net: M2Dino, card: ModelCard, path: Path, *, precision: Literal["float32", "float16"] = "float32"
) -> ModelCard:
    """Write a network and its card; return the card with its id and month filled in.

    Parameters
    ----------
    net : M2Dino
    card : ModelCard
        Its architecture and tasks must be those of `net`.
    path : Path
        Ends in .safetensors by convention.
    precision : str
        float16 halves the file. Loading gives exactly the numbers that were written.

    Raises
    ------
    CheckpointWriteError
        Nothing was written; a file already there is untouched.
    """
    state = {key: value.to(getattr(torch, precision)) for key, value in net.state_dict().items()}
    card = replace(
        card,
        architecture=net.architecture,
        id=content_id(card.title, state),
        created=datetime.now(UTC).strftime("%Y-%m"),
    )
    metadata = {"format": FORMAT, "version": str(FORMAT_VERSION), "card": card.to_json()}
    write_tensors(state, metadata, path)
    return card


def load_checkpoint(path: Path) -> tuple[M2Dino, ModelCard]:
    """Read a checkpoint; the network is on the CPU, in float32 and in evaluation mode.

    Raises
    ------
    NotACheckpointError
        The file is not a checkpoint, cut short, or its weights do not fit its own architecture.
    """
    card = read_card(path)
    if not is_model(card.architecture.backbone):
        raise NotACheckpointError(
            f"{path}: the installed timm knows no network {card.architecture.backbone}; update timm, or use a "
            "checkpoint with another backbone."
        )
    state = {key: value.float() for key, value in read_tensors(path).items()}
    try:
        net = M2Dino(card.architecture, [report.task for report in card.tasks.values()])
        for task_id in net.tasks:
            if any(f".private.{net.key(task_id)}." in key for key in state):
                net.add_private_experts(task_id)
            if any(key.startswith(f"own_decoders.{net.key(task_id)}.") for key in state):
                net.add_own_decoder(task_id)
        net.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError) as error:
        raise NotACheckpointError(
            f"{path}: its weights do not fit the architecture it names ({str(error).splitlines()[0]})."
        ) from error
    return net.eval(), card
