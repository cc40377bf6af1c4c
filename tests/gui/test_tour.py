"""The tour is a test too: the whole round on the sample loop, in a process of its own as `make run` has it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from m2dino.errors import UsageError
from m2dino.network.card import bundled_checkpoint
from PIL import Image

from napari_m2dino.tour.report import clear
from tests.own_screen import on_own_screen


@pytest.mark.timeout(1300)
def test_every_station_is_reached(tmp_path: Path, checkpoint: Path) -> None:
    command = [sys.executable, "-m", "napari_m2dino.tour", "--out", str(tmp_path / "tour")]
    try:
        bundled_checkpoint()
    except UsageError:
        command += ["--checkpoint", str(checkpoint)]
    done = subprocess.run(
        on_own_screen(command),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = (tmp_path / "tour" / "report.md").read_text()
    pictures = sorted((tmp_path / "tour").glob("*.png"))
    assert len(pictures) == 10
    assert all(picture.stat().st_size > 20_000 and picture.name in report for picture in pictures)
    assert re.search(r"peak memory: window \d+ MiB, training process \d+ MiB", report)


@pytest.mark.timeout(700)
def test_every_state_of_the_dock_is_pictured_in_both_themes(tmp_path: Path) -> None:
    words = ["-m", "napari_m2dino.tour", "--states", "--theme", "both", "--out", str(tmp_path / "tour")]
    command = on_own_screen([sys.executable, *words])
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    dark, light = (sorted((tmp_path / "tour").glob(f"*-{theme}.png")) for theme in ("dark", "light"))
    assert len(dark) == len(light) == 18
    means = [[np.asarray(Image.open(picture).convert("L")).mean() for picture in theme] for theme in (dark, light)]
    assert all(below < above for below, above in zip(*means, strict=True))


def test_a_folder_of_something_else_is_not_emptied(tmp_path: Path) -> None:
    own = tmp_path / "pictures"
    own.mkdir()
    (own / "holiday.png").write_bytes(b"mine")
    command = [sys.executable, "-m", "napari_m2dino.tour", "--out", str(own)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert f"{own} holds something that is no tour's" in done.stderr
    assert (own / "holiday.png").read_bytes() == b"mine"
    earlier = tmp_path / "tour"
    for _ in range(2):
        clear(earlier)
        (earlier / "01.png").touch()
    clear(earlier)
    assert [file.name for file in earlier.iterdir()] == ["report.md"]
