"""Writing another model card into a checkpoint file: the bytes of its weights are copied as they are. No torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, BinaryIO

from m2dino.data.durable import write_streamed
from m2dino.errors import CheckpointWriteError, NotACheckpointError
from m2dino.network.card import ModelCard, read_card

_LENGTH = 8
"""Bytes of the header's length at the start of a safetensors file, and what its end is aligned to."""


def rewrite_card(path: Path, card: ModelCard) -> None:
    """Put another card into a checkpoint; after a crash the file has the old one or the new one.

    Raises
    ------
    NotACheckpointError
        The file is none.
    CheckpointWriteError
        The disk refuses; the file is as it was.
    """
    read_card(path)  # refuses what is no checkpoint
    try:
        with path.open("rb") as source:
            header: dict[str, Any] = json.loads(source.read(int.from_bytes(source.read(_LENGTH), "little")))
            header["__metadata__"]["card"] = card.to_json()
            text = json.dumps(header, separators=(",", ":")).encode()
            text += b" " * (-len(text) % _LENGTH)

            def write(target: BinaryIO) -> None:
                target.write(len(text).to_bytes(_LENGTH, "little"))
                target.write(text)
                shutil.copyfileobj(source, target, 1 << 20)

            write_streamed(path, write)
    except (ValueError, KeyError, TypeError) as error:
        raise NotACheckpointError(f"{path}: not a checkpoint, or cut short; copy it again.") from error
    except OSError as error:
        raise CheckpointWriteError(
            f"{path}: the model card cannot be written ({error.strerror}); free some space or copy the file to a "
            "folder that can be written to."
        ) from error
