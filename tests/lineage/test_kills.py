"""Killed at any moment, a line of models is as it was before or after the act, and every checkpoint is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from m2dino.lineage import read_lineage
from m2dino.network.card import read_card
from m2dino.network.checkpoint import load_checkpoint

from tests.lineage.conftest import FALL, OTHER

TURNS = int(os.environ.get("M2DINO_TEST_KILLS", "8"))
WORKER = textwrap.dedent("""
    import sys
    from dataclasses import replace
    from pathlib import Path
    from m2dino.lineage import keep_aside, promote, read_lineage, roll_back
    from m2dino.network.card import read_card
    from m2dino.network.card_file import rewrite_card

    dataset = Path(sys.argv[1])
    files = sorted((dataset / "checkpoints").glob("*.safetensors"))
    print("open", flush=True)
    for step in range(10_000):
        file = files[step % len(files)]
        card = read_card(file)
        # Harm that nobody has accepted yet, so that promoting writes the card again.
        rewrite_card(file, replace(card, limits="", training={**card.training, "accepted_harm": None}))
        print("promote", card.id, flush=True)
        print("done", *promote(dataset, file, despite_harm=True).used[-1:], flush=True)
        if step % 3 == 2:
            print("back", flush=True)
            print("done", *roll_back(dataset).used[-1:], flush=True)
        if step % 4 == 3:
            keep_aside(dataset, files[(step + 2) % len(files)])
""")


def working(dataset: Path) -> subprocess.Popen[str]:
    """Return a worker that is about to begin."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(dataset)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def seconds_an_act(dataset: Path) -> float:
    """Return how long an act takes here and now, so that the kills fall among several also on a busy machine."""
    process = working(dataset)
    assert process.stdout is not None
    began, acts = time.monotonic(), 4
    for _ in range(2 * acts):  # each is told when it begins and when it is done
        process.stdout.readline()
    took = time.monotonic() - began
    process.kill()
    process.communicate(timeout=60)
    return took / acts


def test_killed_at_any_moment_the_line_is_whole(dataset: Path, tuned: Callable[..., Path]) -> None:
    chance = random.Random(3)
    ids = {read_card(tuned(f"m{seed}", seed, harmed=[OTHER], changes={OTHER: FALL})).id for seed in range(3)}
    finished, longest = 0, max(0.5, 4 * seconds_an_act(dataset))
    for _ in range(TURNS):
        process = working(dataset)
        time.sleep(chance.uniform(0.02, longest))
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert err == ""
        lines = [line.split() for line in out.splitlines()]
        line = read_lineage(dataset)
        assert {one.id for one in line.models if one.state != "base"} == ids
        assert all(one.card is not None for one in line.models)
        done = [words for words in lines if words[0] == "done"]
        finished += len(done)
        if done:
            under_way = lines[-1] if lines[-1][0] != "done" else None
            now = line.used[-1]
            if under_way is None or under_way[0] == "back":
                assert now == done[-1][1] or now in line.used
            else:
                assert now in (done[-1][1], under_way[1]), "as before the act, or as after it"
        if line.in_use is not None and line.in_use.id in ids:
            promoted = [act for act in line.acts if act.kind == "promoted" and act.model == line.used[-1]]
            assert promoted[-1].note["harm"] == list(line.in_use.objections)
        for file in (dataset / "checkpoints").glob("*.safetensors"):
            assert load_checkpoint(file)[1].id in ids
    assert finished >= TURNS
