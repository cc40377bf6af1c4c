"""Where things are kept on this computer."""

from __future__ import annotations

import os
from pathlib import Path

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


def short(folder: Path) -> str:
    """Return a folder for a narrow dock: from the home folder on as ~, elsewhere its last two names."""
    try:
        return str(Path("~") / folder.relative_to(Path.home()))
    except ValueError:
        return f"…/{folder.parent.name}/{folder.name}"


def _settings() -> QSettings:
    return QSettings("m2dino", "napari-m2dino")
