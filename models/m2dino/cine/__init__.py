"""Cine loops on disk: lazily decoded frames, calibration where it is certain, and an identity free of patient data.

`open_loop` and `open_loops` are all that most callers need; each reader, and its codec, is imported with the first
file of its kind.
"""

from __future__ import annotations

from m2dino.cine.calibration import Calibration
from m2dino.cine.frame_axis import FrameAxis
from m2dino.cine.loop import CineLoop, Frame
from m2dino.cine.markers import Marker
from m2dino.cine.opening import loop_paths, open_found, open_loop, open_loops
from m2dino.cine.regions import Region

__all__ = [
    "Calibration",
    "CineLoop",
    "Frame",
    "FrameAxis",
    "Marker",
    "Region",
    "loop_paths",
    "open_found",
    "open_loop",
    "open_loops",
]
