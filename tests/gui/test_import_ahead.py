"""What is loaded ahead is all that the first frame carried would load, in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_m2dino import jobs, workshop
from napari_m2dino.widgets.dock import M2DinoDock

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
import napari_m2dino.workshop  # as the window does
from m2dino.cine.opening import open_loop
from m2dino.correct import propagate
from m2dino.values import Mask
from napari_m2dino.import_ahead import load_for_carrying

root = Path(sys.argv[1])
loop = open_loop(root / "napari_m2dino" / "samples" / "carotid")
mask = Mask(np.asarray(Image.open(root / "tests" / "data" / "carotid_masks" / "000.png")))
if sys.argv[2] == "ahead":
    load_for_carrying()
before = set(sys.modules)
assert [one.frame for one in propagate(loop, 0, mask, range(1, 3))] == [1, 2]
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported(when: str) -> list[str]:
    """Return the modules that carrying imports."""
    words = [sys.executable, "-c", SCRIPT, str(ROOT), when]
    return list(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))


def test_the_first_carry_loads_nothing_more() -> None:
    assert len(imported("not ahead")) > 100
    assert imported("ahead") == []


def test_nothing_is_loaded_for_carrying_beside_pytorch(
    open_dock: Callable[[], M2DinoDock], hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SciPy asks for types of PyTorch that are not there yet while another thread imports it."""
    threads: dict[str, str] = {}

    def noting(what: str) -> Callable[[], None]:
        return lambda: threads.update({what: threading.current_thread().name})

    monkeypatch.setattr(workshop, "load_for_carrying", noting("for carrying"))
    monkeypatch.setattr(jobs, "keep_triton_out", noting("PyTorch"))
    open_dock()
    hand.qtbot.waitUntil(lambda: len(threads) == 2, timeout=20_000)
    assert threads["for carrying"] == threads["PyTorch"]
