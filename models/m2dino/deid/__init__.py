"""De-identified copies of loops: headers by the standard's Basic Profile, pixels masked where burnt-in text may be."""

from __future__ import annotations

from m2dino.deid.options import DeidOptions, Retain
from m2dino.deid.run import Deidentified, copy_loop, copy_name, copy_suffix, deidentify

__all__ = ["DeidOptions", "Deidentified", "Retain", "copy_loop", "copy_name", "copy_suffix", "deidentify"]
