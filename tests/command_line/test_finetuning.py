"""`m2dino finetune`, for a person and as the child process of a window."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from m2dino.data.store import Store
from m2dino.network.card import read_card
from m2dino.network.checkpoint import load_checkpoint
from m2dino.values import Mask

from tests.broken_checkpoints import KINDS, broken
from tests.command_line.conftest import ENVIRONMENT, assert_one_sentence
from tests.in_process import Run
from tests.synthetic import TASKS

TASK = TASKS["segmentation"]


class Child:
    """`m2dino finetune --json-lines`, as a window runs it."""

    def __init__(self, store: Path, checkpoint: Path, out: Path, *more: object) -> None:
        words = (store, "--task", TASK, "--checkpoint", checkpoint, "-o", out, "--device", "cpu", "--json-lines", *more)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "m2dino", "finetune", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what it says; every line must be an event."""
        for line in self.stdout:
            event = json.loads(line)
            assert isinstance(event, dict)
            yield event

    def until_learning(self) -> None:
        """Wait until there is a first state worth keeping."""
        for event in self.events():
            assert event["event"] in ("started", "progress"), event
            if event.get("metric"):
                return
        raise AssertionError("it ended before")

    def end(self) -> tuple[int, str]:
        """Wait for its end, with its stdin as it is; return exit status and stderr."""
        status = self.process.wait(timeout=60)
        assert self.process.stderr is not None
        return status, self.process.stderr.read()


@contextmanager
def child(store: Path, checkpoint: Path, out: Path, *more: object) -> Iterator[Child]:
    started = Child(store, checkpoint, out, *more)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        for stream in (started.process.stdin, started.process.stdout, started.process.stderr):
            assert stream is not None
            stream.close()


def test_events_come_in_order_and_it_ends_by_itself(store: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned.safetensors"
    with child(store, checkpoint, out, "--steps", 8) as running:
        events = list(running.events())
        # Its stdin is still open here: a child that waits for it to close would hang, or die while leaving.
        assert running.end() == (0, "")
    assert [event["event"] for event in events[:1] + events[-1:]] == ["started", "finished"]
    assert {event["event"] for event in events[1:-1]} == {"progress"}
    assert events[0] == {"event": "started", "train": 4, "heldout": 2, "loops": 1}
    progress = events[1:-1]
    assert all(
        set(event) == {"event", "done", "total", "text", "epoch", "loss", "metric", "eta_s"} for event in progress
    )
    assert [event["done"] for event in progress] == sorted(event["done"] for event in progress)
    assert (progress[0]["done"], progress[0]["loss"]) == (0, None)
    assert (progress[-1]["done"], progress[-1]["total"]) == (8, 8)
    assert progress[-1]["metric"]["name"] == "DSC"
    last = events[-1]
    assert last["checkpoint"] == str(out)
    assert last["id"] == read_card(out).id
    assert (last["stopped"], last["train"], last["heldout"], last["loops"], last["harmed"]) == (False, 4, 2, 1, [])
    for scores in (last["before"], last["after"]):
        assert set(scores) == {TASK}
        assert set(scores[TASK]["DSC"]) == {"value", "low", "high", "n"}


@pytest.mark.parametrize("how", ["the line stop", "closing stdin"])
def test_it_can_be_told_to_stop_and_keeps_what_it_has(how: str, store: Path, checkpoint: Path, tmp_path: Path) -> None:
    """Closing stdin is what the death of the parent looks like: no orphan may go on."""
    out = tmp_path / "tuned.safetensors"
    with child(store, checkpoint, out, "--steps", 80) as running:
        running.until_learning()
        if how == "closing stdin":
            running.stdin.close()
        else:
            running.stdin.write("stop\n")
            running.stdin.flush()
        last = list(running.events())[-1]
        assert running.end() == (0, "")
    assert (last["event"], last["stopped"]) == ("finished", True)
    assert load_checkpoint(out)[1].id == last["id"]


def test_stopped_too_early_is_a_failure_in_words(store: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned.safetensors"
    with child(store, checkpoint, out) as running:
        running.stdin.write("stop\n")
        running.stdin.flush()
        last = list(running.events())[-1]
        assert running.end() == (1, "")
    assert last["event"] == "failed"
    assert "Stopped before anything was learnt" in last["message"]
    assert not out.exists()


def test_mistakes_are_events_to_a_window_and_sentences_to_a_person(
    store: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("in the way")
    out = ("-o", tmp_path / "out.safetensors")
    base = ("--checkpoint", checkpoint)
    for words, says in (
        ((tmp_path, "--task", TASK, *base, *out), "no store"),
        ((store, "--task", "lung", *base, *out), "at least 4 are needed"),
        ((store, "--task", TASK, "--checkpoint", text, *out), str(text)),
        ((store, "--task", TASK, "--checkpoint", tmp_path / "none", *out), "no such checkpoint"),
        ((store, "--task", TASK, *base, "-o", checkpoint), "another name"),
        ((store, "--task", TASK, *base, "-o", text / "out.safetensors"), str(text)),
        ((store, "--task", TASK, *base, *out, "--form", "shared"), "--replay"),
        ((store, "--task", TASK, *base, *out, "--replay", tmp_path), "--form shared"),
        ((store, "--task", TASK, *base, "--replay", tmp_path, "--estimate"), "--form shared"),
        ((store, "--task", TASK, *base, *out, "--device", "gpu"), "gpu"),
    ):
        assert_one_sentence(inside("finetune", *words), says)
    with child(tmp_path, checkpoint, tmp_path / "out.safetensors") as running:
        events = list(running.events())
        assert running.end() == (1, "")
    assert [event["event"] for event in events] == ["failed"]
    assert "no store" in events[0]["message"]
    assert "\n" not in events[0]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_person_is_told_before_and_after(store: Path, checkpoint: Path, tmp_path: Path, inside: Run) -> None:
    out = tmp_path / "tuned.safetensors"
    words = (store, "--task", TASK, "--checkpoint", checkpoint, "-o", out, "--steps", 2, "--device", "cpu")
    result = inside("finetune", *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert str(out) in result.stdout
    assert "4 frames trained and 2 held out, of 1 loop" in result.stdout
    assert "Dice" in result.stdout
    assert " → " in result.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_that_is_none_is_refused_in_a_sentence(
    kind: str, store: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    wrong, out = broken(kind, checkpoint, tmp_path / "wrong.safetensors"), tmp_path / "out.safetensors"
    words = (store, "--task", TASK, "--checkpoint", wrong, "-o", out, "--device", "cpu", "--steps", 2)
    assert_one_sentence(inside("finetune", *words), str(wrong))
    assert not out.exists()


def test_cautions_are_said_before_and_after_and_stay_in_the_card(
    store: Path, checkpoint: Path, tmp_path: Path, inside: Run
) -> None:
    folder, out = tmp_path / "store", tmp_path / "out.safetensors"
    shutil.copytree(store, folder)
    with Store.open(folder) as opened:
        first = opened.records(TASK)[0]
        opened.save(replace(first, value=Mask(np.zeros_like(first.value.labels)), created=""))
    words = (folder, "--task", TASK, "--checkpoint", checkpoint, "-o", out, "--steps", 2, "--device", "cpu")
    told = inside("finetune", *words, "--estimate", "--json-lines")
    before = json.loads(told.stdout)["cautions"]
    assert len(before) == 2
    assert before[0].startswith("1 of 4 masks to learn from is empty")
    assert "same loop" in before[1]
    done = inside("finetune", *words)
    assert done.returncode == 0
    for caution in before:
        assert f"caution: {caution}" in done.stdout
    card = read_card(out)
    assert card.training["cautions"] == before
    shown = inside("checkpoint", "show", out).stdout
    assert all(f"{TASK}: {caution}" in shown for caution in before)
    with child(folder, checkpoint, out, "--steps", 2) as running:
        events = list(running.events())
    assert events[-1]["event"] == "finished", events[-1]
    assert events[-1]["cautions"] == before
    assert events[-1]["fingerprint"] == card.fingerprint
