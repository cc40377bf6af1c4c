"""The wheel holds all that an installed copy needs, and works away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as pip would lay it out, in a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(installed: Path, *arguments: str) -> str:
    """Run Python so that it finds the unpacked wheel before the editable checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=installed, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_data_files_are_in_the_wheel(installed: Path) -> None:
    assert (installed / "m2dino" / "tasks.toml").is_file()
    assert (installed / "napari_m2dino" / "napari.yaml").is_file()
    assert len(list((installed / "napari_m2dino" / "samples" / "carotid").glob("*.jpg"))) == 40
    assert (installed / "napari_m2dino" / "samples" / "carotid" / "LICENSE.txt").is_file()
    assert list((installed / "m2dino" / "checkpoints").glob("*.safetensors")), "no bundled checkpoint"


def test_nothing_else_is_in_the_wheel(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"m2dino", "napari_m2dino"}


def test_entry_points(installed: Path) -> None:
    (text,) = installed.glob("*.dist-info/entry_points.txt")
    points = ConfigParser()
    points.read(text)
    assert points["console_scripts"]["m2dino"] == "m2dino.cli:main"
    assert points["napari.manifest"]["napari-m2dino"] == "napari_m2dino:napari.yaml"


def test_the_licence_travels_along(installed: Path) -> None:
    (text,) = installed.glob("*.dist-info/licenses/LICENSE")
    assert "BSD 3-Clause" in text.read_text(encoding="utf-8")


def test_an_installed_copy_lists_the_tasks(installed: Path) -> None:
    where = run_installed(installed, "-c", "import m2dino; print(m2dino.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    tasks = json.loads(run_installed(installed, "-m", "m2dino", "tasks", "--json"))
    assert {"carotid_artery", "fetal_head", "FUGC", "thyroid_nodule_det"} <= {task["id"] for task in tasks}


def test_an_installed_copy_finds_its_checkpoint(installed: Path) -> None:
    code = "from m2dino.network.card import bundled_checkpoint as b, read_card; read_card(b()); print(b())"
    assert Path(run_installed(installed, "-c", code).strip()).is_relative_to(installed)
