"""Does the cost of saving a record grow with the store? Saves into a young and an old store, in turns.

    python tests/benchmarks/bench_store.py [--records 3000] [--saves 60]

The two stores take turns, so that a busy machine slows both alike; what counts is the ratio. The bar is 1.5.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.tasks import builtin_tasks
from m2dino.values import Mask, Prediction

TASK = builtin_tasks()["carotid_artery"]
PICTURE = (np.indices((240, 320)).sum(axis=0)[..., None] % 200).astype(np.uint8).repeat(3, axis=2)


def save(store: Store, frame: int, fate: str = "edited") -> float:
    """Save one record and return the seconds that it took."""
    labels = np.zeros(PICTURE.shape[:2], np.uint8)
    labels[50:150, 20 + frame % 200 : 90 + frame % 200] = 1
    proposal = Prediction(frame, TASK.id, Mask(np.roll(labels, 3, axis=0)), 0.5, "m")
    started = time.perf_counter()
    store.save(Record("a" * 32, frame, TASK.id, fate, Mask(labels), proposal), PICTURE, TASK)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--saves", type=int, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = Store.open(Path(folder) / "old", create=True)
        young = Store.open(Path(folder) / "young", create=True)
        with old, young:
            for frame in range(chosen.records):
                save(old, frame)
            for frame in range(10):
                save(young, frame)
            pairs = [(save(young, 10 + i), save(old, chosen.records + i)) for i in range(chosen.saves)]
            again = [(save(young, i), save(old, i)) for i in range(10)]
            relabelled = [save(old, i, "accepted") for i in range(5)]
        for name, timed in (("new frame", pairs), ("same frame again", again)):
            early, late = (statistics.median(times) for times in zip(*timed, strict=True))
            print(
                f"{name}: {1e3 * early:.1f} ms in a young store, {1e3 * late:.1f} ms after {chosen.records} records: "
                f"ratio {late / early:.2f}"
            )
        print(f"a line that must change (the table is written anew): {1e3 * statistics.median(relabelled):.1f} ms")


if __name__ == "__main__":
    main()
