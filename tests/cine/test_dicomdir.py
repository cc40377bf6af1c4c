"""A disc with a table of contents."""

from __future__ import annotations

from pathlib import Path

import pytest
from m2dino.cine import loop_paths, open_loop, open_loops
from m2dino.errors import NoPixelDataError, UsageError
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet

from tests.cine.making import PATIENT, jpeg_loop, moving_square


def _disc(folder: Path, counts: tuple[int, ...]) -> Path:
    """Write a file set through pydicom; its loops lie in sub-folders under names of the standard."""
    contents = FileSet()
    for k, count in enumerate(counts):
        more = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": f"1.2.3.{k}", "SeriesNumber": k + 1}
        more |= {"StudyID": "1", "StudyTime": "101010", "InstanceNumber": 1, "AccessionNumber": "A1"}
        contents.add(jpeg_loop(folder / f"{k}.tmp", moving_square(count), **more))
    contents.write(folder / "disc")
    return folder / "disc"


def test_its_loops_open_from_the_table_and_from_the_folder(tmp_path: Path) -> None:
    disc = _disc(tmp_path, (3, 5))
    for path in (disc / "DICOMDIR", disc):
        assert sorted(len(loop) for loop in open_loops(path)) == [3, 5]
    with pytest.raises(UsageError, match="2 loops") as caught:
        open_loop(disc / "DICOMDIR")
    assert PATIENT not in str(caught.value)
    (tmp_path / "one").mkdir()
    assert len(open_loop(_disc(tmp_path / "one", (4,)) / "DICOMDIR")) == 4


def test_a_real_disc() -> None:
    loops = open_loops(get_testdata_file("DICOMDIR", download=False))
    assert len(loops) == 31
    assert all(loop[0].shape == (loop.height, loop.width, 3) for loop in loops)


def test_a_table_without_its_images_says_so(tmp_path: Path) -> None:
    disc = _disc(tmp_path, (3,))
    for file in loop_paths(disc):
        file.unlink()
    with pytest.raises(NoPixelDataError, match="copy the whole disc"):
        open_loop(disc / "DICOMDIR")
