"""Damaged files by the thousand, by hand: `python -m tests.cine.fuzz_loops [CASES] [FIRST]`, from the project's root.

Every case runs in a child process with a watch on its time and its memory, and has to end in a typed error or in frames
of the stated shape. Prints a tally, and each case that did not.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from m2dino.cine import CineLoop, open_loop
from m2dino.errors import AmbiguousLoopError, FrameDecodeError, M2DinoError

from tests.cine.damage import COUNTED, damaged, specimens

SECONDS = 5.0
BYTES = 2**30
_HARD_BYTES = 6 * 2**30
_START_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What became of one case: `what` is "error", "image", or how it went wrong."""

    seed: int
    name: str
    damage: str
    what: str
    seconds: float = 0.0
    mebibytes: float = 0.0
    detail: str = ""

    @property
    def well(self) -> bool:
        return self.what in ("error", "image") and self.seconds <= SECONDS and self.mebibytes * 2**20 <= BYTES


def run_cases(seeds: list[int]) -> Iterator[Outcome]:
    """Run cases in a child process, started anew whenever one ends it or takes too long."""
    left = list(seeds)
    while left:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.cine.fuzz_loops", "--child", json.dumps(left)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pump, args=(child, lines), daemon=True).start()
        wait, started = _START_S, time.monotonic()
        while left:
            try:
                line = lines.get(timeout=wait)
            except queue.Empty:
                line = None
            if line is None:
                child.kill()
                ended = "hang" if child.wait() == -9 and time.monotonic() - started > wait * 0.9 else "crash"
                yield Outcome(left.pop(0), "?", "?", ended, detail=f"exit status {child.returncode}")
                break
            wait, started = 4 * SECONDS, time.monotonic()
            outcome = Outcome(**json.loads(line))
            if outcome.seed >= 0:
                left.remove(outcome.seed)
                yield outcome
        child.kill()
        child.wait()


def _pump(child: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        lines.put(line)
    lines.put(None)


def _child(seeds: list[int]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_HARD_BYTES, _HARD_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(Path(folder) / "sound")
        sound = specimens(Path(folder) / "sound")
        counts = {}
        for name, content in sound.items():
            (Path(folder) / name).write_bytes(content)
            # Every codec is loaded before memory is measured.
            with_frames = _open(Path(folder) / name)
            counts[name] = len(with_frames)
            with_frames[0]
            with_frames.close()
        print(json.dumps(vars(Outcome(-1, "", "", "ready"))), flush=True)
        for seed in seeds:
            damage, name, content = damaged(sound, seed)
            path = Path(folder) / name
            path.write_bytes(content)
            before = _rss()
            Path("/proc/self/clear_refs").write_text("5")
            start = time.perf_counter()
            what, detail = _judge(path, damage, counts[name], len(content) < len(sound[name]) - 64)
            took = time.perf_counter() - start
            outcome = Outcome(seed, name, damage, what, took, (_peak() - before) / 2**20, detail)
            print(json.dumps(vars(outcome)), flush=True)


def _judge(path: Path, damage: str, count: int, clearly_cut: bool) -> tuple[str, str]:
    try:
        loop = _open(path)
        if damage == "cut" and clearly_cut and path.suffix in COUNTED and len(loop) != count:
            return "wrong count", f"{len(loop)} of {count}"
        for index in {0, 1, len(loop) // 2, len(loop) - 2, len(loop) - 1} & set(range(len(loop))):
            try:
                frame = loop[index]
            except FrameDecodeError as error:
                if path.name not in str(error):
                    return "file not named", str(error)
                continue
            if frame.shape != loop.shape[1:] or frame.dtype != np.uint8:
                return "wrong shape", str(frame.shape)
        loop.close()
    except M2DinoError as error:
        text = str(error)
        return ("error", type(error).__name__) if path.name in text and "\n" not in text else ("file not named", text)
    except Exception as error:  # noqa: BLE001  # this is what the script looks for
        return "untyped", f"{type(error).__name__}: {error}"
    return "image", ""


def _open(path: Path) -> CineLoop:
    try:
        return open_loop(path)
    except AmbiguousLoopError as error:
        return open_loop(path, frame_axis=next(iter(error.choices)))


def _rss() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise AssertionError(key)


def main(arguments: list[str]) -> int:
    """Run the cases and print what came of them."""
    cases, first = (int(one) for one in (*arguments, *("5000", "0")[len(arguments) :]))
    tally: Counter[str] = Counter()
    bad: list[Outcome] = []
    slowest = largest = 0.0
    for outcome in run_cases(list(range(first, first + cases))):
        tally[outcome.what] += 1
        slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.mebibytes)
        if not outcome.well:
            bad.append(outcome)
            print(outcome, flush=True)
    print(f"{cases} cases: {dict(tally)}; slowest {slowest:.2f} s, most memory {largest:.0f} MiB; {len(bad)} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    given: list[Any] = sys.argv[1:]
    if given[:1] == ["--child"]:
        _child(json.loads(given[1]))
    else:
        sys.exit(main(given))
