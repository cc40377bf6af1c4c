"""Loops that were moved and renamed are found by what they hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from m2dino.cine import open_loop
from m2dino.cine.searching import find_loops
from m2dino.errors import UsageError
from PIL import Image
from pydicom.examples import get_path

from tests.synthetic import picture


def folder_of_pictures(folder: Path, first: int, count: int = 3) -> str:
    """Write a folder of pictures; return the identity of the loop that they are."""
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(picture(first + index)[0]).save(folder / f"{index}.png")
    return open_loop(folder).identity


def test_moved_renamed_and_deep_below(tmp_path: Path) -> None:
    echo = Path(str(get_path("ybr_color")))
    wanted = {open_loop(echo).identity, folder_of_pictures(tmp_path / "was", 10)}
    place = tmp_path / "archive" / "2" / "cases"
    place.mkdir(parents=True)
    shutil.copy(echo, place / "another name")
    (tmp_path / "was").rename(place / "renamed")
    folder_of_pictures(tmp_path / "archive" / "1" / "was", 20)  # the name of a wanted one, other pixels
    (place / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    (place / "notes.txt").write_text("no loop")
    seen: list[str] = []
    found = find_loops([tmp_path / "archive"], wanted, on_progress=lambda done, total, text: seen.append(text))
    assert {loop_id: loop.path for loop_id, loop in found.items()} == {
        open_loop(echo).identity: place / "another name",
        open_loop(place / "renamed").identity: place / "renamed",
    }
    assert seen
    assert not [text for text in seen if "cases" in text or "renamed" in text], "a folder may name a patient"


def test_one_picture_of_many_and_an_array_that_does_not_say_its_axis(tmp_path: Path) -> None:
    folder_of_pictures(tmp_path / "all", 30, count=4)
    np.save(tmp_path / "all" / "array.npy", np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7))
    single = open_loop(tmp_path / "all" / "2.png").identity
    turned = open_loop(tmp_path / "all" / "array.npy", 2).identity
    found = find_loops([tmp_path], [single, turned])
    assert found[single].path.name == "2.png"
    assert (found[turned].path.name, len(found[turned])) == ("array.npy", 7)


def test_what_is_not_there_is_not_found_and_a_stop_ends_it(tmp_path: Path) -> None:
    there = folder_of_pictures(tmp_path / "a", 40)
    assert list(find_loops([tmp_path], ["0" * 32, there])) == [there]
    assert find_loops([tmp_path], [there], should_stop=lambda: True) == {}
    assert find_loops([tmp_path], []) == {}
    with pytest.raises(UsageError, match="no such folder"):
        find_loops([tmp_path / "gone"], [there])
