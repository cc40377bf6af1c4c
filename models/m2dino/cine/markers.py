"""Moments of a loop that its file names, such as R waves and end-diastole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Marker:
    """One named moment.

    Attributes
    ----------
    frame : int
        Index of the frame, from 0.
    name : str
        "R wave", "end-diastole", "end-systole" or "frame of interest"; never free text of the file, which may hold a
        patient's name.
    """

    frame: int
    name: str
