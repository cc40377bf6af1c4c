"""True masks of the sample loop, for measuring how good the predictions are, and for a tour-guide who paints well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_truth(folder: Path | None) -> dict[int, NDArray[np.uint8]]:
    """Return the true mask (H, W) of each frame, read from 000.png …; empty where there is no such folder."""
    from PIL import Image

    if folder is None or not folder.is_dir():
        return {}
    found = {}
    for file in sorted(folder.glob("[0-9]*.png")):
        array = np.asarray(Image.open(file))
        found[int(file.stem)] = (array > 0).astype(np.uint8) if array.max(initial=0) > 1 else array.astype(np.uint8)
    return found


def in_checkout() -> Path | None:
    """Return the folder of true masks that lies in a checkout; None in an installed package."""
    folder = Path(__file__).resolve().parents[2] / "tests" / "data" / "carotid_masks"
    return folder if folder.is_dir() else None


def mean_dice(labels: NDArray[np.uint8], truth: dict[int, NDArray[np.uint8]], frames: list[int]) -> float:
    """Return the mean Dice of class 1 over some frames.

    Parameters
    ----------
    labels : ndarray of uint8, shape (T, H, W)
    truth : dict of int to ndarray of uint8, shape (H, W)
    frames : list of int
    """
    scores = []
    for frame in frames:
        ours, true = labels[frame] == 1, truth[frame] == 1
        both = ours.sum() + true.sum()
        scores.append(1.0 if both == 0 else 2.0 * np.logical_and(ours, true).sum() / both)
    return float(np.mean(scores))
