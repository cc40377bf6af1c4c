"""What does augmentation cost beside decoding, and four labels of a picture beside one?

    python tests/benchmarks/bench_augment.py [ROOT] [--pictures 60] [--passes 3]

ROOT is a data set in the FM_UIA layout; without it one is made up. Timed is the processor's time of one thread. Single
samples, groups and decodings take turns, so that a busy machine slows all alike; what counts is the ratios. The bar is
8 ms a sample at 256 px.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from m2dino.data.fmuia import find_roots, load_image, read_root, tasks_of
from m2dino.data.samples import GroupKey, LabelledFrames, letterboxed
from m2dino.tasks import builtin_tasks

from tests.synthetic import make_root

SIZE = 256


def milliseconds(work: Callable[[], object]) -> float:
    """Return the time of the processor that one call took."""
    started = time.process_time()
    work()
    return 1e3 * (time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--passes", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = find_roots(chosen.root)[0] if chosen.root else make_root(Path(folder) / "root", chosen.pictures)
        rows = read_root(root)
        frames = LabelledFrames(rows, tasks_of(rows, builtin_tasks()), SIZE)
        most = max(map(len, frames.rows_by_image.values()))
        groups = [tuple(own) for own in frames.rows_by_image.values() if len(own) >= min(4, most)][: chosen.pictures]
        rng = np.random.default_rng(0)

        def seed() -> int:
            return int(rng.integers(2**62))

        for own in groups:
            frames.group(GroupKey(own, seed()))
            frames.group(GroupKey(own[:1], seed()))
        times = [
            (
                milliseconds(lambda own=own: frames.group(GroupKey(own[:1], seed()))),
                milliseconds(lambda own=own: frames.group(GroupKey(own, seed()))),
                milliseconds(lambda own=own: letterboxed(load_image(frames.rows[own[0]].image), SIZE)),
            )
            for _ in range(chosen.passes)
            for own in groups
        ]
    single, group, decoding = (statistics.mean(column) for column in zip(*times, strict=True))
    print(f"augmented sample, picture in memory: {single:.2f} ms")
    print(f"the same with {len(groups[0])} labels: {group:.2f} ms, ratio {group / single:.2f}")
    print(f"decoding and letterboxing: {decoding:.2f} ms, ratio to an augmented sample {decoding / single:.2f}")


if __name__ == "__main__":
    main()
