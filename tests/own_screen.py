"""A virtual screen for a program of its own, so that it takes the keyboard from no other window."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

VIRTUAL = shutil.which("xvfb-run") is not None
"""Whether such a screen is to be had; without it the program comes up on the screen there is."""
DISPLAY = Path(__file__).parents[1] / "scripts" / "display.sh"


def on_own_screen(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` on a screen of its own, made as the scripts make theirs."""
    if not VIRTUAL:
        return list(command)
    return ["bash", "-c", 'source "$0"; on_virtual_screen "$@"', str(DISPLAY), *command]
