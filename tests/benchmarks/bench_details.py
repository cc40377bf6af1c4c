"""Which details of the tiny network pay? Arms that differ in one thing, the same rows, the same number of steps.

    python tests/benchmarks/bench_details.py DATA --epochs 3 [--arms bundled no-stem …] [--seeds 2] [-o build/details]

DATA holds train/ and val/ in the FM_UIA layout. Writes ARM-SEED.json for each run and table.md for all of them. Stopped
or killed it goes on when repeated, and what is finished is left as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from m2dino.commands.console import log_progress, stop_on_interrupt
from m2dino.data.durable import write_whole
from m2dino.errors import M2DinoError
from m2dino.training.settings import TrainSettings

from tests.benchmarks.baseline.rows import read_data
from tests.benchmarks.baseline.running import run
from tests.benchmarks.details.arms import ARMS, arms_named
from tests.benchmarks.details.pretrain import OBJECTIVES, frames_in, pretrain
from tests.benchmarks.details.tables import markdown

ROOT = Path(__file__).resolve().parents[2]


def compare(given: argparse.Namespace) -> int:
    """Pre-train what the arms ask for, then train and evaluate every arm with every seed; return the exit status."""
    data = read_data(given.data, given.tasks, given.task_file, given.limit, 0)
    images = list(dict.fromkeys([*(row.image for row in data.train), *frames_in(given.frames)]))
    arms = arms_named(given.arms)
    weights = {objective: given.out / f"{objective}.safetensors" for objective in OBJECTIVES}
    given.out.mkdir(parents=True, exist_ok=True)
    with stop_on_interrupt() as should_stop:
        for objective, file in weights.items():
            if file.exists() or all(arm.start != objective for arm in arms):
                continue
            told = pretrain(
                objective,
                images,
                file,
                given.pretrain_steps,
                given.image_size,
                given.pretrain_batch,
                0,
                log_progress(given.log_every),
                should_stop,
            )
            if told is None:
                return 130
            print(f"{objective} on {len(images)} frames: {told:.3f} of the variance explained", file=sys.stderr)
        # Seeds outside: after the first round every arm has a figure.
        for seed in range(given.seeds):
            for arm in arms:
                entrant = replace(arm.at(given.image_size, weights), name=f"{arm.name}-{seed}")
                print(entrant.name, file=sys.stderr, flush=True)
                settings = TrainSettings(
                    epochs=given.epochs,
                    batch_size=given.batch_size,
                    tasks_per_step=given.tasks_per_step,
                    checks=0,
                    keep="last",
                    seed=seed,
                )
                done = run(
                    entrant,
                    data,
                    arm.settings(settings),
                    given.out,
                    device=given.device,
                    workers=given.workers,
                    restart=given.restart,
                    on_progress=log_progress(given.log_every),
                    should_stop=should_stop,
                )
                if done is None:
                    print("Stopped; repeat the command to go on from here.", file=sys.stderr)
                    return 130
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(given.out.glob("*-[0-9]*.json"))]
    text = markdown(found, list(ARMS))
    write_whole(given.out / "table.md", text.encode())
    print(text, end="")
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train/ and val/")
    parser.add_argument("--epochs", type=float, required=True, help="length of each run; alike for all, so steps are")
    parser.add_argument("--arms", nargs="*", default=(), help=f"of {', '.join(ARMS)}; all by default")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each arm")
    parser.add_argument("--pretrain-steps", type=int, default=600)
    parser.add_argument("--pretrain-batch", type=int, default=8)
    parser.add_argument("--frames", type=Path, nargs="*", default=(), help="folders of more frames to pre-train on")
    parser.add_argument("--image-size", type=int, default=128, help="side of the networks' input, px")
    parser.add_argument("--tasks", default="", help="task ids, separated by commas; all by default")
    parser.add_argument("--task-file", type=Path, default=ROOT / "models" / "checkpoints" / "tasks.toml")
    parser.add_argument("--limit", type=int, default=0, help="so many rows of each task, for a trial; 0 for all")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--tasks-per-step", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    parser.add_argument("--log-every", type=float, default=60)
    parser.add_argument("--restart", action="store_true", help="forget what lies in the folder under the same names")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "details")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        sys.exit(compare(given))
    except M2DinoError as error:
        print(f"bench_details: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
