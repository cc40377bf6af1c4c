"""Where things are kept on this computer."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from m2dino.data.durable import write_whole
from platformdirs import user_data_path
from qtpy.QtCore import QSettings

_KEY = "dataset_folder"


def dataset_folder() -> Path:
    """Return the dataset folder: M2DINO_DATASET, else the one chosen last, else one in the user's data folder."""
    if named := os.environ.get("M2DINO_DATASET"):
        return Path(named)
    chosen = _settings().value(_KEY, "")
    return Path(str(chosen)) if chosen else user_data_path("m2dino") / "dataset"


def remember_dataset_folder(folder: Path) -> None:
    """Use `folder` from the next start on."""
    if not os.environ.get("M2DINO_DATASET"):
        _settings().setValue(_KEY, str(folder))


def state_folder() -> Path:
    """Return where this installation keeps what concerns nobody else: M2DINO_STATE, else the user's data folder."""
    named = os.environ.get("M2DINO_STATE")
    return Path(named) if named else user_data_path("m2dino")


def seat() -> str:
    """Return the random name of this installation, by which its undecided work is told from that of others."""
    file = state_folder() / "seat"
    try:
        return file.read_text(encoding="ascii").strip()[:32] or _new_seat(file)
    except (OSError, ValueError):
        return _new_seat(file)


def _new_seat(file: Path) -> str:
    name = uuid.uuid4().hex
    with contextlib.suppress(OSError):  # then it holds for this window only
        write_whole(file, name.encode())
    return name


def author() -> str:
    """Return the name that the person chose to sign decisions with; empty by default, and never that of the system."""
    try:
        return (state_folder() / "author").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def remember_author(name: str) -> None:
    """Sign decisions with `name` from now on; an empty one signs none.

    Raises
    ------
    OSError
        It cannot be kept.
    """
    write_whole(state_folder() / "author", name.strip().encode())


def short(folder: Path) -> str:
    """Return a folder for a narrow dock: from the home folder on as ~, elsewhere its last two names."""
    try:
        return str(Path("~") / folder.relative_to(Path.home()))
    except ValueError:
        return f"…/{folder.parent.name}/{folder.name}"


def _settings() -> QSettings:
    return QSettings("m2dino", "napari-m2dino")
