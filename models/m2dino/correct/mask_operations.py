"""Cleaning a mask: holes, specks, stray pieces, rough outlines, and labels that the task does not have.

Every function returns a new mask of the same size and adds no class to it. Masks are immutable: to copy one to another
frame, use it there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from m2dino.measure.outline import softened
from m2dino.tasks import Task
from m2dino.values import Mask

_EIGHT = np.ones((3, 3), dtype=bool)


def classes_of(mask: Mask) -> list[int]:
    """Return the classes that a mask has, but the background, in order."""
    return [int(label) for label in np.unique(mask.labels) if label]


def fill_holes(mask: Mask, label: int | None = None) -> Mask:
    """Fill background that a class surrounds, of one class or of all; other classes in it stay as they are."""
    labels = mask.labels.copy()
    for one in classes_of(mask) if label is None else [label]:
        holes = ndimage.binary_fill_holes(mask.labels == one) & (labels == 0)
        labels[holes] = one
    return Mask(labels)


def largest_component(mask: Mask, label: int | None = None) -> Mask:
    """Keep the largest piece (connected by 8 neighbours) of one class or of each; the rest becomes what is around."""
    away = np.zeros(mask.labels.shape, dtype=bool)
    for one in classes_of(mask) if label is None else [label]:
        pieces, count = ndimage.label(mask.labels == one, structure=_EIGHT)
        if count > 1:
            away |= (pieces > 0) & (pieces != np.argmax(np.bincount(pieces.ravel())[1:]) + 1)
    return _given_away(mask, away)


def remove_specks(mask: Mask, smaller_than_px: int) -> Mask:
    """Remove connected pieces (of 8 neighbours) of fewer pixels than that; they become what is around them."""
    away = np.zeros(mask.labels.shape, dtype=bool)
    for one in classes_of(mask):
        pieces, _ = ndimage.label(mask.labels == one, structure=_EIGHT)
        small = np.bincount(pieces.ravel()) < smaller_than_px
        small[0] = False
        away |= small[pieces]
    return _given_away(mask, away)


def smooth(mask: Mask, sigma_px: float = 3.0) -> Mask:
    """Smooth the outlines of every class; neighbouring classes keep their common border.

    Each connected piece is blurred and cut at a half, by a Gaussian of `sigma_px` but never wider than half the piece's
    own typical half-width: so a thin line, such as an aponeurosis, keeps its width and only its edge gets smoother.

    Parameters
    ----------
    mask : Mask
    sigma_px : float
        Standard deviation of the Gaussian in pixels; 0 changes nothing.
    """
    if not sigma_px > 0:
        return mask
    shares = {label: softened(mask.labels == label, sigma_px) for label in classes_of(mask)}
    labels = np.zeros(mask.labels.shape, np.uint8)
    most = np.clip(1 - sum(shares.values(), start=np.zeros(labels.shape)), 0, None)
    for label, share in shares.items():
        better = share > most
        labels[better] = label
        most = np.maximum(most, share)
    return Mask(labels)


def unknown_labels(mask: Mask, task: Task) -> dict[int, int]:
    """Return the labels that the task does not have, each with its number of pixels."""
    values, counts = np.unique(mask.labels, return_counts=True)
    return {int(v): int(n) for v, n in zip(values, counts, strict=True) if v >= task.num_classes}


def without_unknown(mask: Mask, task: Task) -> Mask:
    """Return the mask with every label that the task does not have turned to background."""
    return Mask(np.where(mask.labels < task.num_classes, mask.labels, 0))


def _given_away(mask: Mask, away: NDArray[np.bool_]) -> Mask:
    """Give pixels to the nearest of the others."""
    if not away.any():
        return mask
    if away.all():
        return Mask(np.zeros_like(mask.labels))
    nearest = ndimage.distance_transform_edt(away, return_distances=False, return_indices=True)
    return Mask(mask.labels[tuple(nearest)])
