"""Importing PyTorch into a program that draws with OpenGL, without a crash.

On Linux the open graphics drivers (Mesa) bring LLVM into the process. Triton, the compiler that PyTorch imports where
it is installed, carries a second LLVM, and loading it after the first ends the process with a segmentation fault.
Nothing here compiles kernels, so Triton is kept out where, and only where, that would happen.
"""

from __future__ import annotations

import sys
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def keep_triton_out() -> bool:
    """Make `import triton` fail as if it were not installed, if it would crash; return whether that was done."""
    if "triton" in sys.modules or not driver_has_llvm():
        return False
    sys.modules["triton"] = None  # type: ignore[assignment]  # Python's own way to say "not importable"
    return True


def driver_has_llvm() -> bool:
    """Whether a graphics driver has loaded LLVM into this process (only Linux can tell, and only there it matters)."""
    try:
        return "libLLVM" in _MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
