"""Loops that were moved: no obstacle while the store has its pictures, and what brings them back where it lost them."""

from __future__ import annotations

from pathlib import Path

import pytest
from m2dino.cine import open_loop
from m2dino.data.bring_back import bring_back
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.errors import MissingPicturesError
from m2dino.network.card import read_card
from m2dino.tasks import builtin_tasks
from m2dino.training.estimate import estimate
from PIL import Image

from tests.in_process import Run
from tests.synthetic import TASKS, picture

TASK = TASKS["segmentation"]


@pytest.fixture
def loops(tmp_path: Path) -> Path:
    """Two loops of four frames."""
    for name, first in (("one", 0), ("two", 100)):
        (tmp_path / "loops" / name).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(picture(first + index)[0]).save(tmp_path / "loops" / name / f"{index}.png")
    return tmp_path / "loops"


@pytest.fixture
def folder(loops: Path, tmp_path: Path) -> Path:
    """A store of all their frames."""
    with Store.open(tmp_path / "store", create=True) as store:
        for name, first in (("one", 0), ("two", 100)):
            loop = open_loop(loops / name)
            for index in range(4):
                value = picture(first + index)[1]["segmentation"]
                store.save(Record(loop.identity, index, TASK, "edited", value), loop[index], builtin_tasks()[TASK])
    return tmp_path / "store"


def pictures(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "frames").iterdir()}


def test_a_loop_that_is_gone_is_no_obstacle(folder: Path, loops: Path, base: Path, inside: Run, tmp_path: Path) -> None:
    loops.rename(tmp_path / "elsewhere")
    out = tmp_path / "o.safetensors"
    words = (folder, "--task", TASK, "--checkpoint", base, "-o", out, "--steps", 2, "--device", "cpu")
    done = inside("finetune", *words, "--loops", tmp_path / "elsewhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No picture is missing" in done.stdout


def test_lost_pictures_are_asked_for_and_brought_back(
    folder: Path, loops: Path, base: Path, inside: Run, tmp_path: Path
) -> None:
    before = pictures(folder)
    moved = tmp_path / "archive" / "deep"
    moved.mkdir(parents=True)
    (loops / "one").rename(moved / "two")  # the other's name: names do not count
    (loops / "two").rename(moved / "three")
    for file in (folder / "frames").iterdir():
        file.unlink()
    out = tmp_path / "o.safetensors"
    words = (folder, "--task", TASK, "--checkpoint", base, "-o", out, "--steps", 2, "--device", "cpu")
    for more in ((), ("--estimate",)):
        told = inside("finetune", *words, *more)
        assert (told.returncode, told.stdout) == (1, "")
        assert "the pictures of 8 labelled frames of 2 loops have gone" in told.stderr
        assert "--loops" in told.stderr
    with Store.open(folder) as store:
        assert store.holdout(TASK) == {}, "nothing was divided yet"
    wrong = inside("finetune", *words, "--loops", loops)
    assert wrong.returncode == 1
    assert "8 pictures of 2 loops still missing" in wrong.stdout
    assert not out.exists()
    done = inside("finetune", *words, "--loops", loops, "--loops", tmp_path / "archive")
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 pictures of 2 loops brought back" in done.stdout
    assert pictures(folder) == before
    assert read_card(out).tasks[TASK].n_train > 0
    with Store.open(folder) as store:
        assert store.check() == []


def test_a_damaged_picture_is_brought_back_too(folder: Path, loops: Path, base: Path) -> None:
    before = pictures(folder)
    names = sorted(before)
    (folder / "frames" / names[0]).write_bytes(before[names[0]][:60])
    (folder / "frames" / names[7]).unlink()
    (loops / "two" / "3.png").write_bytes(b"no picture")
    with Store.open(folder) as store:
        with pytest.raises(MissingPicturesError) as told:
            estimate(store, base, TASK)
        assert sum(map(len, told.value.frames.values())) == 1
        back = bring_back(store, [loops])
        # What lies in the folder of the other loop now has another content: nothing of it is taken.
        assert (back.pictures, back.loops) == (1, 1)
        (lost,) = back.missing
        assert lost != open_loop(loops / "one").identity
    after = pictures(folder)
    assert len(after.items() & before.items()) == len(before) - 1
