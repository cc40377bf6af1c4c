"""A virtual screen for a program of its own, so that it takes the keyboard from no other window."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

VIRTUAL = shutil.which("xvfb-run") is not None
"""Whether such a screen is to be had; without it the program comes up on the screen there is."""


def on_own_screen(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` on a screen of its own."""
    return [*(["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"] if VIRTUAL else []), *command]
