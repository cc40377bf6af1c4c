"""Ctrl+C at the worst moment, in the middle of a line that is being printed, and what is told of the work done."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from itertools import count
from pathlib import Path

import pytest
from m2dino.data.fmuia_output import OutputWriter
from m2dino.data.prediction_files import LoopPredictionWriter
from m2dino.predictor import Model

from tests.in_process import Run
from tests.synthetic import TASKS

PROGRAM = textwrap.dedent("""
    import io, signal, sys
    from m2dino.commands.console import stop_on_interrupt

    class InterruptedOnce(io.RawIOBase):
        done = False

        def writable(self):
            return True

        def write(self, data):
            if not self.done:
                self.done = True
                signal.raise_signal(signal.SIGINT)
            return len(data)

    with stop_on_interrupt() as should_stop:
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(InterruptedOnce()))
        print("a line of progress", file=sys.stderr, flush=True)
        print(should_stop())
""")


def test_an_interrupt_in_the_middle_of_a_line_asks_to_stop() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert "stopping" in done.stderr


def pressed_after(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, number: int) -> None:
    """Press Ctrl+C at the end of the call of this number of a method."""
    method, calls = getattr(owner, name), count(1)

    def press(*words: object, **more: object) -> object:
        answer = method(*words, **more)
        if next(calls) == number:
            signal.raise_signal(signal.SIGINT)
        return answer

    monkeypatch.setattr(owner, name, press)


def assert_stopped(result: subprocess.CompletedProcess[str], says: str) -> None:
    assert result.returncode == 130
    assert re.search(says, result.stderr), result.stderr
    assert "being saved" not in result.stderr
    assert "Traceback" not in result.stderr


def test_predictions_of_a_data_set_that_were_stopped_are_told_from_all(
    root: Path, checkpoint: Path, tmp_path: Path, inside: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    pressed_after(monkeypatch, OutputWriter, "add", 3)
    result = inside("predict", "--fmuia", root, "--checkpoint", checkpoint, "--device", "cpu", "-o", out)
    assert_stopped(result, "stopped; 8 of 32 rows are done")
    (written,) = out.iterdir()
    assert len(json.loads(written.read_text(encoding="utf-8"))) == 8


def test_predictions_of_loops_that_were_stopped_are_told_from_all(
    loop: Path, checkpoint: Path, tmp_path: Path, inside: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = tmp_path / "out", Path(shutil.copytree(loop, tmp_path / "other"))
    (other / "3.png").unlink()
    pressed_after(monkeypatch, LoopPredictionWriter, "add", 1)
    words = ("--task", TASKS["detection"], "--checkpoint", checkpoint, "--device", "cpu", "-o", out)
    assert_stopped(inside("predict", loop, other, *words), r"stopped; [1-4] of 4 frames")
    (folder,) = out.iterdir()
    assert (folder / "predictions.json").is_file()


def test_an_evaluation_that_was_stopped_tells_what_it_has(
    root: Path, checkpoint: Path, inside: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed_after(monkeypatch, Model, "predict_frames", 2)
    result = inside("evaluate", root, "--checkpoint", checkpoint, "--device", "cpu", "--json")
    assert_stopped(result, "stopped after 1 of 4 tasks")
    assert len(json.loads(result.stdout)["counts"]) == 1
