"""`m2dino tasks` and `m2dino checkpoint show`; mistakes; output in a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line.conftest import ENVIRONMENT, assert_one_sentence, done, m2dino
from tests.in_process import Run
from tests.synthetic import TASKS
from tests.tasks_reference import REFERENCE


def test_tasks_as_json_are_the_27() -> None:
    rows = json.loads(done("tasks", "--json"))
    assert all(set(row) == {"id", "type", "num_classes", "labels", "organ", "group"} for row in rows)
    assert {(row["id"], row["type"], row["num_classes"], row["group"]) for row in rows} == set(REFERENCE)
    assert all(len(row["labels"]) == row["num_classes"] for row in rows)
    assert len(rows) == 27


def test_a_users_own_tasks_are_listed_and_wrong_ones_named(tmp_path: Path) -> None:
    mine, wrong = tmp_path / "mine.toml", tmp_path / "wrong.toml"
    mine.write_text('[[task]]\nid = "mine"\ntype = "regression"\nlabels = ["a", "b"]\n')
    wrong.write_text('[[task]]\nid = "mine"\ntype = "song"\nlabels = ["a", "b"]\n')
    assert json.loads(done("tasks", "--json", "--task-file", mine))[-1]["labels"] == ["a", "b"]
    assert_one_sentence(m2dino("tasks", "--task-file", wrong), str(wrong), "song")


def test_a_checkpoint_is_shown(checkpoint: Path) -> None:
    text = done("checkpoint", "show", checkpoint)
    assert all(task_id in text for task_id in TASKS.values())
    assert "not for diagnosis" in text
    assert "made for a test" in text
    card = json.loads(done("checkpoint", "show", checkpoint, "--json"))
    assert card["id"].startswith("untrained-")
    assert set(card["tasks"]) == set(TASKS.values())


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "notes.txt"
    wrong.write_text("not a checkpoint")
    assert_one_sentence(m2dino("checkpoint", "show", wrong), str(wrong))
    assert_one_sentence(m2dino("checkpoint", "show", tmp_path / "none"), "no such checkpoint")


@pytest.mark.parametrize(
    "words",
    [
        ("sing",),
        ("predict",),
        ("predict", "x", "--task", "lung", "-o"),
        ("train", "-o", "x"),
        ("train", "x", "-o", "y", "--preset", "huge"),
        ("train", "x", "-o", "y", "--batch-size", "0"),
        ("finetune", "x", "-o", "y"),
        ("evaluate",),
        ("tasks", "--jsno"),
        ("checkpoint", "show"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(words: tuple[str, ...], inside: Run) -> None:
    result = inside(*words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "Usage: " in result.stderr or "Error" in result.stderr


def test_help_is_help() -> None:
    for words in (("--help",), ("train", "--help")):
        assert "Usage: " in done(*words)


@pytest.mark.parametrize("words", [("tasks", "--json"), ("tasks", "--help")], ids=" ".join)
def test_a_reader_that_has_gone_is_no_mistake(words: tuple[str, ...]) -> None:
    """As in `m2dino tasks | head -1`; much is written on the way, little only at the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "m2dino", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait() == 0
