"""Run `m2dino` as a user does, and give it something to work on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.in_process import Run
from tests.synthetic import make_checkpoint, make_root, make_store, picture

torch.set_num_threads(1)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def m2dino(*words: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command with its output in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "m2dino", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def done(*words: object, run: Run = m2dino) -> str:
    """Run a command that must succeed and say nothing but its result; return that."""
    result = run(*words)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "untrained.safetensors")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("data") / "root")


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four pictures, whose name must not get about."""
    folder = tmp_path_factory.mktemp("loops") / "DOE^JANE"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(picture(index)[0]).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "store")


def assert_one_sentence(result: subprocess.CompletedProcess[str], *says: str) -> None:
    """Check that a user's mistake was answered as one."""
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("m2dino: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for text in says:
        assert text in result.stderr
