"""What does a click on *Fine-tune* cost, and what does it gain on recordings it has not seen? As its user would run it.

    python tests/benchmarks/bench_correcting.py DATA [--task carotid_artery] [--learn val:0031] [--score val:0032]
        [--frames 20] [--checkpoint tiny] [--steps 240 120]

DATA holds train/ and val/ in the FM_UIA layout. Frames whose image path holds the words behind `--learn` go, spread
evenly, into a new store as accepted records. `m2dino finetune` then runs as its own process, timed by the clock from
its start to its end, once for each number of steps; what it made is scored on the rows named by `--score`. The defaults
are two recordings that the bundled checkpoint was not trained on. A task that the checkpoint does not know starts from
nothing: `--task muscle_aponeurosis --learn train: --score val: --frames 24`.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from m2dino.data.fmuia import read_root, tasks_of
from m2dino.data.rows import Row
from m2dino.data.store import Store
from m2dino.data.store_import import import_rows
from m2dino.evaluation import evaluate_rows
from m2dino.metrics import Metric
from m2dino.predictor import load_model
from m2dino.tasks import load_tasks


def rows_of(data: Path, task: str, where: str) -> list[Row]:
    """Return the rows of a task in a part of the set, `PART:WORDS`; one of each image."""
    part, _, words = where.partition(":")
    own = {row.image: row for row in read_root(data / part, [task]) if words in row.image_path}
    if not own:
        sys.exit(f"{data / part}: no row of {task} whose image path holds {words!r}.")
    return list(own.values())


def figures(checkpoint: str, task: str, rows: list[Row]) -> str:
    """Return what a checkpoint reaches on rows, every metric with its interval; a dash where the task is new to it."""
    model = load_model(checkpoint, "cpu")
    if task not in model.tasks:
        return "-"
    metrics = evaluate_rows(model, rows, model.tasks)[task]
    return ", ".join(f"{name} {each.value:.3f}{interval(each)}" for name, each in metrics.items())


def interval(metric: Metric) -> str:
    """Return the 95 % interval in words; nothing where there is one subject only."""
    return "" if math.isnan(metric.low) else f" ({metric.low:.3f} to {metric.high:.3f})"


def timed(store: Path, task: str, checkpoint: str, steps: int | None, out: Path) -> float:
    """Fine-tune in a process of its own and return the seconds it took."""
    command = [sys.executable, "-m", "m2dino", "finetune", store, "--task", task, "--checkpoint", checkpoint]
    command += ["--device", "cpu", "-o", out] + (["--steps", str(steps)] if steps else [])
    start = time.perf_counter()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--task", default="carotid_artery")
    parser.add_argument("--learn", default="val:0031", metavar="PART:WORDS")
    parser.add_argument("--score", default="val:0032", metavar="PART:WORDS")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--steps", type=int, nargs="+", help="by default once, with as many as a click makes")
    given = parser.parse_args()
    found, scored = (rows_of(given.data, given.task, where) for where in (given.learn, given.score))
    count = min(given.frames, len(found))
    learnt = [found[i * len(found) // count] for i in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.open(folder / "store", create=True) as store:
            import_rows(store, learnt, tasks_of(learnt, load_tasks())[given.task])
        print(f"{given.task}: {count} frames to learn from, scored on {len(scored)}")
        print(f"before: {figures(given.checkpoint, given.task, scored)}", flush=True)
        for steps in given.steps or [None]:
            out = folder / f"{steps}.safetensors"
            seconds = timed(folder / "store", given.task, given.checkpoint, steps, out)
            print(f"{steps or 'default'} steps, {seconds:.0f} s: {figures(str(out), given.task, scored)}", flush=True)


if __name__ == "__main__":
    main()
