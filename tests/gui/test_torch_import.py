"""PyTorch beside an open graphics driver: the window lives, and the network still predicts."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from pathlib import Path
from qtpy.QtWidgets import QApplication
from napari.viewer import Viewer
viewer = Viewer(show=True)
QApplication.processEvents()
viewer.window.screenshot(flash=False)
from napari_m2dino.torch_import import driver_has_llvm, keep_triton_out
was = driver_has_llvm()
assert keep_triton_out() == was, "done if and only if it is needed"
import m2dino.predictor
import torch
print("llvm", was, "triton", sys.modules.get("triton") is not None, torch.ones(2).sum().item())
viewer.close()
"""


def test_torch_is_imported_into_a_drawing_process_without_a_crash() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert " 2.0" in done.stdout
    if "llvm True" in done.stdout:
        assert "triton False" in done.stdout


def test_importing_the_plugin_imports_neither_torch_nor_qt() -> None:
    code = "import sys, napari_m2dino; print([m for m in ('torch', 'qtpy', 'napari', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
