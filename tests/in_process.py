"""Run `m2dino` in this process, by the entry point that a user's shell calls: without another start of torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from m2dino.cli import main

Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command and catches its output and exit status."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["m2dino", *map(str, words)])
        status: object = 0
        try:
            main()
        except SystemExit as leaving:
            status = leaving.code or 0
        out, err = capfd.readouterr()
        assert isinstance(status, int)
        return subprocess.CompletedProcess(sys.argv, status, out, err)

    return run
