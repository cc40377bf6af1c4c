"""The repository as a stranger meets it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import m2dino
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*(ROOT / "models").rglob("*.py"), *(ROOT / "napari_m2dino").rglob("*.py")]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name.decode() for name in listed.split(b"\0") if name]


needs_git = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="not a git checkout: no list of the project's files"
)


@needs_git
def test_no_file_names_a_place_on_somebodys_machine() -> None:
    # Put together here, so that this file does not hold what it looks for.
    roots = [f"/{name}/" for name in ("work", "root", "home", "Users")]
    pattern = re.compile(r"(?<![\w.~/$}-])(" + "|".join(map(re.escape, roots)) + r")[\w.]".replace("\\.", "."))
    guilty = []
    for path in tracked_files():
        if path.is_symlink() or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
            if pattern.search(line):
                guilty.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not guilty, "\n".join(guilty)


@needs_git
def test_nothing_in_git_is_huge() -> None:
    """A clone stays quick; a checkpoint may take up to 30 MB."""
    sizes = {path: path.stat().st_size for path in tracked_files() if path.is_file()}
    assert {str(p.relative_to(ROOT)) for p, size in sizes.items() if size > 30e6} == set()
    others = sum(size for path, size in sizes.items() if path.suffix != ".safetensors")
    assert others < 30e6


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 500


def test_the_manifest_at_the_top_is_the_one_that_ships() -> None:
    top, shipped = ROOT / "napari.yaml", ROOT / "napari_m2dino" / "napari.yaml"
    assert top.is_symlink()
    assert not Path(top.readlink()).is_absolute()
    assert top.resolve() == shipped.resolve()
    assert shipped.is_file()


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert m2dino.__version__ == project["version"] == citation["version"]
    assert citation["license"] == project["license"]


def test_pins_agree_with_the_requirements() -> None:
    """`make run` installs with the pins: one that a requirement forbids would stop it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *tables["project"]["dependencies"],
        *tables["project"]["optional-dependencies"]["pyqt5"],
        *tables["dependency-groups"]["dev"],
    ]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for requirement in map(Requirement, wanted):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} has no pin: make constraints"
        assert requirement.specifier.contains(pin), f"{requirement} forbids the pinned {pin}"
