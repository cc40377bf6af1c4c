"""What importing costs: napari imports every plugin that it lists, so ours must be light, and whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "torchvision", "timm", "qtpy", "PyQt5", "PyQt6", "PySide6", "napari", "pydicom", "av", "imagecodecs"}


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys, json; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", ["m2dino", "napari_m2dino"])
def test_importing_brings_nothing_heavy(package: str) -> None:
    assert not modules_after(f"import {package}") & HEAVY


def test_listing_tasks_brings_no_torch() -> None:
    assert not modules_after("import m2dino; m2dino.load_tasks()") & HEAVY


def test_the_engine_never_brings_a_window() -> None:
    names = ", ".join(f"m2dino.{name}" for name in ("cli", "cine", "predictor", "training", "metrics", "data.store"))
    assert not modules_after(f"import {names}") & {"qtpy", "PyQt5", "PyQt6", "PySide6", "napari", "magicgui", "superqt"}


def test_every_module_can_be_imported() -> None:
    """A module that nothing imports yet is not left broken unnoticed."""
    names = [
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for root, package in ((ROOT / "models", "m2dino"), (ROOT, "napari_m2dino"))
        for path in sorted((root / package).rglob("*.py"))
        if path.stem != "__main__"
    ]
    assert len(names) > 20
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    code = f"from importlib import import_module\nfor name in {names!r}: import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
