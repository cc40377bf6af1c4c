"""How fast loops open and decode: ratios within one run. `python tests/benchmarks/bench_cine.py [FILE]`.

Without a file: the 120-frame echo of pydicom-data where that is installed, else the 30 frames that pydicom ships.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from m2dino.cine import open_loop
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array


def seconds(action: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of `action`, after one call to warm up."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print one line a measure."""
    warnings.simplefilter("ignore")
    named = sys.argv[1] if len(sys.argv) > 1 else None
    path = named or get_testdata_file("color3d_jpeg_baseline.dcm", download=False)
    path = Path(path or get_testdata_file("examples_ybr_color.dcm", download=False))
    loop = open_loop(path)
    frames = len(loop)
    print(f"{path.name}: {loop.shape}, {loop.codec}")

    def every_frame() -> None:
        loop.close()
        for _ in loop:
            pass

    def first_frame() -> None:
        loop.close()
        loop[0]

    ours = seconds(every_frame, 3) / frames
    theirs = seconds(lambda: dcmread(path).pixel_array, 3) / frames
    one_by_one = seconds(lambda: [pixel_array(path, index=k) for k in range(0, frames, max(frames // 10, 1))], 3)
    one_by_one /= len(range(0, frames, max(frames // 10, 1)))
    opening = seconds(lambda: open_loop(path))
    print(f"open {opening * 1e3:.1f} ms, first frame {seconds(first_frame) * 1e3:.2f} ms after it (bar: 60 ms)")
    print(
        f"every frame {ours * 1e3:.2f} ms; pydicom's pixel_array {theirs * 1e3:.2f} ms a frame: {theirs / ours:.1f} x"
    )
    print(f"one frame at a time by pydicom {one_by_one * 1e3:.2f} ms: {one_by_one / ours:.1f} x (bar: 5 x)")


if __name__ == "__main__":
    main()
