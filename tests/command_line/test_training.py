"""`m2dino train`: files, interrupts, weights, mistakes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
from m2dino.network.card import read_card
from m2dino.predictor import load_model
from m2dino.training.state import resume_path
from safetensors.torch import save_file

from tests.command_line.conftest import ENVIRONMENT, assert_one_sentence, done
from tests.in_process import Run
from tests.synthetic import TASKS, make_root

SMALL = ("--image-size", 64, "--experts", 2, "--batch-size", 4, "--workers", 0, "--device", "cpu")


def test_each_clinical_group_gets_its_own_file(root: Path, tmp_path: Path, inside: Run) -> None:
    out = tmp_path / "out"
    words = ("train", root, "-o", out, "--paradigm", "clinically-grouped", "--epochs", 0.2, *SMALL)
    result = inside(*words)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in out.glob("*.safetensors")) == [
        "Breast.safetensors",
        "OB.safetensors",
        "Thyroid.safetensors",
        "Vascular.safetensors",
    ]
    assert set(read_card(out / "OB.safetensors").tasks) == {"FUGC"}
    assert all(str(out / name) in result.stdout for name in ("OB.safetensors", "Vascular.safetensors"))

    # As if it had been interrupted in the third: what is finished is not done again.
    (out / "Thyroid.safetensors").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}
    assert inside(*words).returncode == 0
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}
    assert "Thyroid.safetensors" in after
    assert {name for name in before if before[name] != after[name]} == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_the_same_command_finishes(root: Path, tmp_path: Path, number: signal.Signals) -> None:
    """With a worker process, and the signal to the whole group, as a terminal or a cluster sends it."""
    out = tmp_path / "model.safetensors"
    options = ("--tasks", TASKS["classification"], "--epochs", 4, "--image-size", 64, "--experts", 2)
    words = ("train", root, "-o", out, *options, "--batch-size", 1, "--device", "cpu", "--log-every", 0.05)
    command = [sys.executable, "-m", "m2dino", *map(str, words)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
    )
    assert child.stderr is not None
    first = child.stderr.readline()
    assert "step" in first
    os.killpg(child.pid, number)
    said, complained = child.communicate(timeout=60)
    assert child.returncode == 0, complained
    assert "Traceback" not in complained
    assert "repeat the command" in complained
    assert str(out) in said
    assert resume_path(out).exists()
    reached = int(read_card(out).training["steps"])
    assert 1 <= reached < 24
    load_model(out, "cpu")

    again = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=120)
    assert again.returncode == 0, again.stderr
    assert all(re.match(r" *\d+ %  (step|evaluating) ", line) for line in again.stderr.splitlines()), again.stderr
    assert read_card(out).training["steps"] == 24
    assert not resume_path(out).exists()


def replace_stderr(result: subprocess.CompletedProcess[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout, text)


def test_training_starts_from_a_file_of_weights(root: Path, tmp_path: Path, inside: Run) -> None:
    torch.manual_seed(1)
    vit = timm.create_model("vit_tiny_patch16_dinov3_qkvb", num_classes=0)
    weights, out = tmp_path / "dinov3.safetensors", tmp_path / "model.safetensors"
    save_file(vit.state_dict(), weights)
    words = ("train", root, "--tasks", TASKS["classification"], "--epochs", 0.1, *SMALL)
    result = inside(*words, "--weights", weights, "-o", out)
    assert result.returncode == 0
    assert "DINOv3 License" in result.stderr, "told before the training"
    card = read_card(out)
    assert card.training["start"].startswith("file ")
    assert card.training["layer_decay"] == 0.85
    assert "DINOv3 License" in card.licence
    assert str(tmp_path) not in card.to_json()
    kept = load_model(out, "cpu").net.backbone.vit.patch_embed.state_dict()["proj.weight"]
    torch.testing.assert_close(kept, vit.state_dict()["patch_embed.proj.weight"], atol=1e-3, rtol=0)

    small = (*words[:2], "--preset", "small", *words[2:])
    refused = inside(*small, "--weights", weights, "-o", tmp_path / "x")
    told, _, said = refused.stderr.partition("\n")
    assert "DINOv3 License" in told
    assert_one_sentence(replace_stderr(refused, said), str(weights), "another")
    assert_one_sentence(inside(*words, "--weights", tmp_path / "none", "-o", tmp_path / "x"), "none", "no such")


def test_mistakes_are_answered_in_one_sentence(root: Path, tmp_path: Path, inside: Run) -> None:
    text, card = tmp_path / "text.txt", tmp_path / "card.toml"
    text.write_text("in the way")
    card.write_text('titel = "mine"\n')
    out = ("-o", tmp_path / "out.safetensors")
    short = ("--epochs", 0.1, *SMALL)
    for words, says in (
        (("train", root, *out, "--minutes", 1, "--epochs", 1), ("not both",)),
        (("train", root, *out, "--epochs", -1), ("more than 0",)),
        (("train", tmp_path, *out, *short), (str(tmp_path), "csv_files")),
        (("train", root, *out, *short, "--tasks", "lung"), ("'lung'",)),
        (("train", root, *out, "--epochs", 1, "--image-size", 100), ("multiple of 16",)),
        (("train", root, *out, *short, "--top-k", 9), ("top-9",)),
        (("train", root, *out, *short, "--card", card), (str(card),)),
        (("train", root, *out, *short, "--pretrained", "--weights", text), ("not both",)),
        (("train", root, *out, *short, "--device", "gpu"), ("gpu",)),
        (("train", root, *out, "--minutes", "nan"), ("more than 0",)),
        (("train", root, tmp_path / "dinov3.safetensors", *out, *short, "--pretrained"), ("--weights",)),
        (("train", root, "-o", text / "model.safetensors", *short), (str(text / "model.safetensors"),)),
        (("train", root, "-o", tmp_path, *short), (str(tmp_path),)),
    ):
        assert_one_sentence(inside(*words), *says)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.toml", "text.txt"]


def test_an_output_that_cannot_be_written_is_noticed_before_the_training(
    root: Path, tmp_path: Path, inside: Run
) -> None:
    started = time.monotonic()
    result = inside("train", root, "-o", tmp_path, "--minutes", 5, *SMALL)
    assert_one_sentence(result, str(tmp_path))
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("paradigm", ["task-specific", "all-task"])
def test_one_task_goes_where_it_is_told(paradigm: str, root: Path, tmp_path: Path, inside: Run) -> None:
    words = ("train", root, "--tasks", TASKS["detection"], "--epochs", 0.1, "--paradigm", paradigm, *SMALL)
    done(*words, "-o", tmp_path / "out", run=inside)
    file = tmp_path / "out" if paradigm == "all-task" else tmp_path / "out" / f"{TASKS['detection']}.safetensors"
    assert set(read_card(file).tasks) == {TASKS["detection"]}


def test_a_val_beside_train_is_held_out_and_told(tmp_path: Path, inside: Run) -> None:
    """The folder of the challenge holds both: most of its val would be learnt from otherwise."""
    make_root(tmp_path / "data" / "train", images=16)
    val, out = make_root(tmp_path / "data" / "val", images=8), tmp_path / "model.safetensors"
    words = ("train", tmp_path / "data", "--tasks", TASKS["detection"], "--epochs", 0.1, *SMALL, "-o", out)
    result = inside(*words)
    assert result.returncode == 0, result.stderr
    assert f"{val.resolve()} is held out" in result.stderr
    report = read_card(out).tasks[TASKS["detection"]]
    assert (report.n_train, report.n_val) == (8, 8)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('limits = ["few pictures"]', "limits must be a text"),
        ("title = 3", "title must be a text"),
        ('data = "one set"', "data must be a list"),
        ("data = [1]", "data must be a list"),
        ('extra = "few"', "extra must be a table"),
        ("[extra]\nday = 2026-01-01", "extra must be a table"),
    ],
)
def test_a_card_of_other_kinds_than_texts_is_refused_before_the_training(
    text: str, key: str, root: Path, tmp_path: Path, inside: Run
) -> None:
    card, out = tmp_path / "card.toml", tmp_path / "model.safetensors"
    card.write_text(text)
    assert_one_sentence(inside("train", root, "-o", out, "--epochs", 0.1, *SMALL, "--card", card), str(card), key)
    assert not out.exists()


def test_what_a_person_says_of_a_model_stands_in_its_card(root: Path, tmp_path: Path, inside: Run) -> None:
    text, out = tmp_path / "card.toml", tmp_path / "model.safetensors"
    text.write_text('title = "mine"\ndata = ["a set", "another"]\nlimits = "few"\n[extra]\nwhere = "here"\n')
    done("train", root, "-o", out, "--tasks", TASKS["detection"], "--epochs", 0.1, *SMALL, "--card", text, run=inside)
    card = read_card(out)
    assert (card.title, card.data, card.limits, card.training["where"]) == ("mine", ("a set", "another"), "few", "here")
