"""How does M2DINO do against the challenge's baseline: same rows, same minutes, same training; and how fast is it?

    python tests/benchmarks/bench_baseline.py train DATA --minutes 60 [--imagenet] [-o build/baseline]
    python tests/benchmarks/bench_baseline.py speed [--rounds 15] [--threads 1]

DATA holds train/ and val/ in the FM_UIA layout. `train` trains one network after the other, writes NAME.json for each
and table.md and table.json for all that lie in the folder. Stopped or killed it goes on when repeated, and what is
finished is left as it is. docs/benchmarks.md says what is alike and what is not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from m2dino.commands.console import log_progress, stop_on_interrupt
from m2dino.errors import M2DinoError
from m2dino.training.settings import TrainSettings

from tests.benchmarks.baseline.entrants import Entrant
from tests.benchmarks.baseline.rows import read_data
from tests.benchmarks.baseline.running import run
from tests.benchmarks.baseline.speed import measure, tasks_by_type
from tests.benchmarks.baseline.steps import measure_steps
from tests.benchmarks.baseline.tables import write_tables

ROOT = Path(__file__).resolve().parents[2]


def train(given: argparse.Namespace) -> int:
    """Train and evaluate each network asked for; return the exit status."""
    encoder = given.encoder or ("mobilenet_v2" if given.imagenet else "efficientnet-b4")
    entrants = [Entrant(network, given.imagenet, encoder, given.top_k, given.image_size) for network in given.network]
    settings = TrainSettings(
        minutes=given.minutes,
        batch_size=given.batch_size,
        coarse=given.coarse,
        tasks_per_step=given.tasks_per_step,
        seed=given.seed,
    )
    data = read_data(given.data, given.tasks, given.task_file, given.limit, given.seed)
    with stop_on_interrupt() as should_stop:
        for entrant in entrants:
            print(f"{entrant.name}: {len(data.train)} rows of {len(data.tasks)} tasks", file=sys.stderr, flush=True)
            done = run(
                entrant,
                data,
                entrant.settings(settings, given.encoder_lr),
                given.out,
                device=given.device,
                workers=given.workers,
                restart=given.restart,
                on_progress=log_progress(60),
                should_stop=should_stop,
            )
            if done is None:
                print("Stopped; repeat the command to go on from here.", file=sys.stderr)
                return 130
    print(write_tables(given.out), end="")
    return 0


def speed(given: argparse.Namespace) -> int:
    """Measure the prediction of a frame, and a step of training; return the exit status."""
    print(measure(given.rounds, given.image_size, *given.frame), flush=True)
    print(measure_steps(list(tasks_by_type()[1].values()), max(1, given.rounds // 5), given.image_size), end="")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = whole.add_subparsers(required=True)
    one = parts.add_parser("train", help="train and evaluate", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    one.set_defaults(act=train)
    one.add_argument("data", type=Path, help="folder with train/ and val/")
    one.add_argument("--minutes", type=float, required=True, help="length of the training of each network")
    one.add_argument("--network", nargs="+", choices=("m2dino", "baseline"), default=("m2dino", "baseline"))
    one.add_argument("--imagenet", action="store_true", help="start the convolutional encoders from ImageNet weights")
    one.add_argument("--encoder", default="", help="of the baseline; efficientnet-b4, with --imagenet mobilenet_v2")
    one.add_argument("--encoder-lr", type=float, help="of the baseline, instead of the rate that M2DINO has")
    one.add_argument("--tasks", default="", help="task ids, separated by commas; all by default")
    one.add_argument("--task-file", type=Path, default=ROOT / "models" / "checkpoints" / "tasks.toml")
    one.add_argument("--limit", type=int, default=0, help="so many rows of each task, for a trial; 0 for all")
    one.add_argument("--batch-size", type=int, default=8)
    one.add_argument("--coarse", type=float, default=0.0, help="share of the run on smaller images, for both")
    one.add_argument("--tasks-per-step", type=int, default=0, help="most tasks a step, for both; 0 for all")
    one.add_argument("--top-k", type=int, default=2, help="experts used per token in M2DINO; 0 mixes all")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--device", default="auto")
    one.add_argument("--workers", type=int, default=1)
    one.add_argument("--restart", action="store_true", help="forget what lies in the folder under the same names")
    one.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "baseline")
    two = parts.add_parser(
        "speed", help="time a prediction and a step", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    two.set_defaults(act=speed)
    two.add_argument("--rounds", type=int, default=15)
    two.add_argument("--frame", type=int, nargs=2, default=(600, 800), metavar=("HEIGHT", "WIDTH"))
    for each, threads in ((one, 0), (two, 1)):
        each.add_argument("--image-size", type=int, default=256, help="side of the networks' input, px")
        each.add_argument("--threads", type=int, default=threads, help="0: as many as torch takes")
    return whole


def main() -> None:
    given = parser().parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        sys.exit(given.act(given))
    except M2DinoError as error:
        print(f"bench_baseline: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
