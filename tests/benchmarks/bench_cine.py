"""How fast loops open and decode, and how little memory they take: ratios within one run.

`python tests/benchmarks/bench_cine.py [FILE]`. Without a file: the 120-frame echo of pydicom-data where that is
installed, else the 30 frames that pydicom ships. Lines end in the bar that the figure has to meet.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from m2dino.cine import CineLoop, open_loop
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array

from tests.cine.making import dicom_header, jpeg, moving_square, save_encapsulated

_LONG = 10_000
_PLAY = (
    "import sys, psutil; from m2dino.cine import open_loop\n"
    "loop, count, peak, us = open_loop(sys.argv[1]), int(sys.argv[2]), 0, psutil.Process()\n"
    "for k in range(count):\n"
    "    loop[k]\n"
    "    peak = max(peak, us.memory_info().rss) if k % 20 == 0 or k == count - 1 else peak\n"
    "print(peak / 2**20)\n"
)


def seconds(action: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of `action`, after one call to warm up."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def decoding(path: Path) -> None:
    """Print how one real loop compares with pydicom."""
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
    some = range(0, frames, max(frames // 10, 1))
    one_by_one = seconds(lambda: [pixel_array(path, index=k) for k in some], 3) / len(some)
    opening = seconds(lambda: open_loop(path))
    print(f"open {opening * 1e3:.1f} ms, first frame {seconds(first_frame) * 1e3:.2f} ms after it (bar: 60 ms)")
    print(
        f"every frame {ours * 1e3:.2f} ms; pixel_array {theirs * 1e3:.2f} ms a frame: {theirs / ours:.1f} x (bar: 5 x)"
    )
    print(f"one frame at a time by pydicom {one_by_one * 1e3:.2f} ms: {one_by_one / ours:.1f} x")


def playing(loop: CineLoop, work_s: float) -> float:
    """Return the mean seconds that a viewer waits for a frame of a loop played in order, working in between."""
    loop.close()
    waited = 0.0
    for k in range(len(loop)):
        start = time.perf_counter()
        loop[k]
        waited += time.perf_counter() - start
        time.sleep(work_s)
    return waited / len(loop)


def long_loop(folder: Path) -> Path:
    """Write 10,000 JPEG frames of 480 x 640 in one DICOM file without an offset table."""
    few = [jpeg(frame, 75) for frame in moving_square(20, 480, 640)]
    header = dicom_header(_LONG, 480, 640, "1.2.840.10008.1.2.4.50", PhotometricInterpretation="YBR_FULL_422")
    return save_encapsulated(folder / "long.dcm", header, few * (_LONG // len(few)), has_bot=False)


def random_access(path: Path) -> None:
    """Print what a frame anywhere in a long loop costs against one at its start."""
    loop = open_loop(path)
    loop._cache_bytes = 0
    order = random.Random(0).sample(range(0, _LONG, 3), 300)

    def cost(frames: list[int]) -> float:
        times = []
        for k in frames:
            start = time.perf_counter()
            loop[k]
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    loop[0]
    near = cost([k % 300 for k in order])
    far = cost([_LONG - 1 - k % 300 for k in order])
    anywhere = cost(order)
    start = time.perf_counter()
    open_loop(path)
    print(f"{_LONG} frames opened in {time.perf_counter() - start:.2f} s")
    print(
        f"a frame near the start {near * 1e3:.2f} ms, near the end {far * 1e3:.2f} ms ({far / near:.2f} x), "
        f"anywhere {anywhere * 1e3:.2f} ms ({anywhere / near:.2f} x) (bar: flat)"
    )


def memory(path: Path) -> None:
    """Print the peak memory of playing a long loop and a hundred frames of it, each in a process of its own."""

    def peak(count: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", _PLAY, str(path), str(count)], capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    hundred, all_frames = peak(100), peak(_LONG)
    print(
        f"peak memory of playing 100 frames {hundred:.0f} MiB, {_LONG} frames {all_frames:.0f} MiB: "
        f"{all_frames - hundred:+.0f} MiB (bar: 150 MiB)"
    )


def main() -> None:
    """Print one line a measure."""
    warnings.simplefilter("ignore")
    named = sys.argv[1] if len(sys.argv) > 1 else None
    path = named or get_testdata_file("color3d_jpeg_baseline.dcm", download=False)
    path = Path(path or get_testdata_file("examples_ybr_color.dcm", download=False))
    decoding(path)
    loop = open_loop(path)
    ahead = playing(loop, 0.01)
    alone = open_loop(path)
    alone._look_ahead.saw = lambda index, depth, count: None  # type: ignore[method-assign]
    waited = playing(alone, 0.01)
    print(
        f"played with 10 ms of work a frame: {ahead * 1e3:.2f} ms of waiting a frame; "
        f"without look-ahead {waited * 1e3:.2f} ms"
    )
    with tempfile.TemporaryDirectory() as folder:
        long = long_loop(Path(folder))
        random_access(long)
        memory(long)


if __name__ == "__main__":
    main()
