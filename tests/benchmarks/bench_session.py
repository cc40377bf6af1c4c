"""What does a labelled frame cost a person, with and without prediction, queue and carrying?

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_session.py [FRAMES MASKS] [--task carotid_artery] [--bar 0.95]
        [--arms "all by hand;prediction, queue"] [-o FILE.json]

on a screen, real or virtual. FRAMES is anything that opens as a loop, MASKS a folder with one PNG of class indices a
frame, in the same order; without them it is the sample loop of the carotid artery. A simulated person drives the real
window, canvas and keys: looks at every frame, corrects those whose Dice against the truth is below the bar, accepts
each. Each arm runs in a window, a process and a dataset folder of its own. Seconds of the person are those of the
keystroke-level model (see session/cost.py), not measured on people; the machine's are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - the path to the project comes first
from PIL import Image  # noqa: E402

from tests.benchmarks.session.arms import ARMS, run  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", nargs="?", type=Path)
    parser.add_argument("masks", nargs="?", type=Path, default=ROOT / "tests" / "data" / "carotid_masks")
    parser.add_argument("--task", default="carotid_artery")
    parser.add_argument("--bar", type=float, default=0.95)
    parser.add_argument("--arms", default="")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    if given.one:
        one_arm(given)
    found = []
    for arm in ARMS:
        if given.arms and arm.name not in given.arms.split(";"):
            continue
        with tempfile.TemporaryDirectory() as name:
            homes = {f"XDG_{kind}_HOME": name for kind in ("CONFIG", "DATA", "STATE")}
            answer = Path(name) / "answer.json"
            words = [sys.executable, __file__, *sys.argv[1:], "--one", arm.name, "-o", str(answer)]
            subprocess.run(words, check=True, env={**os.environ, **homes, "M2DINO_DATASET": f"{name}/dataset"})
            found.append(json.loads(answer.read_text()))
        print(f"{arm.name}: {found[-1]['machine_s']:.0f} s of the machine", file=sys.stderr, flush=True)
        if given.out:
            given.out.write_text(json.dumps(found, indent=1))
    print("\n".join(table(found, given.bar)))


def one_arm(given: argparse.Namespace) -> None:
    """Run one arm in this process, and end it."""
    files = sorted(given.masks.glob("[0-9]*.png")) or sorted(given.masks.glob("*.png"))
    truth = {frame: np.asarray(Image.open(file)) == 1 for frame, file in enumerate(files)}
    arm = next(one for one in ARMS if one.name == given.one)
    given.out.write_text(json.dumps(run(arm, given.frames, truth, given.task, given.bar)))
    sys.stdout.flush()
    os._exit(0)  # the end of a window is not what is measured


def table(found: list[dict[str, Any]], bar: float) -> list[str]:
    """Return the lines of a table of arms, and of one on what the queue spares."""
    lines = [
        "| arm | acts | strokes | corners | seconds | waits | looks | corrected | found | left | least | under 0.9 |",
        "|---" * 12 + "|",
    ]
    for one in found:
        count, did = one["frames"], one["actions"]
        lines.append(
            f"| {one['name']} | {sum(did.values()) / count:.1f} | {did.get('strokes', 0) / count:.2f} "
            f"| {did.get('corners', 0) / count:.1f} | {one['person_s'] / count:.1f} | {one['waited_s'] / count:.1f} "
            f"| {one['looked_at']} | {one['corrected']} of {count} | {one['dice_found']:.3f} | {one['dice_left']:.3f} "
            f"| {one['least_left']:.3f} | {one['left_below_90']} |"
        )
    lines += ["", "| arm | looks until half of those below the bar are found | all of them |", "|---|---|---|"]
    for one in found:
        if one["predict"]:
            looks = [place for place, frame in enumerate(one["order"], 1) if one["before"][str(frame)] < bar]
            if looks:
                lines.append(f"| {one['name']} | {looks[(len(looks) - 1) // 2]} | {looks[-1]} of {one['frames']} |")
    return lines


if __name__ == "__main__":
    main()
