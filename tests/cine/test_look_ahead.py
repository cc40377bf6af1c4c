"""Frames in order are there before they are asked for; the cache stays bounded, and nothing runs on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from m2dino.cine import open_loop
from m2dino.cine.dicom import DicomLoop
from m2dino.errors import FrameDecodeError

from tests.cine.making import jpeg_loop, number_of, numbered_frames, video


def _eventually(holds: Callable[[], bool]) -> bool:
    for _ in range(300):
        if holds():
            return True
        time.sleep(0.01)
    return holds()


def _ahead() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "look-ahead"]


def test_frames_after_two_neighbours_are_decoded_ahead(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", numbered_frames(40)))
    loop[4]
    assert 5 not in loop._cache
    loop[5]
    assert _eventually(lambda: set(range(6, 14)) <= set(loop._cache))
    assert 14 not in loop._cache
    assert [number_of(loop[k]) for k in range(6, 40)] == list(range(6, 40))
    assert _eventually(lambda: not _ahead()), "no thread stays behind"


def test_jumping_about_decodes_nothing_else(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", numbered_frames(40)))
    for k in (30, 3, 17, 29, 2):
        loop[k]
    time.sleep(0.05)
    assert set(loop._cache) == {30, 3, 17, 29, 2}


def test_the_cache_stays_within_its_bound(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", numbered_frames(60)))
    loop._cache_bytes = 10 * 96 * 128 * 3
    for k in range(60):
        assert number_of(loop[k]) == k
        assert len(loop._cache) <= 10


def test_closing_stops_it_and_lets_the_file_go(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", numbered_frames(60)))
    assert isinstance(loop, DicomLoop)
    for k in range(10):
        loop[k]
    loop.close()
    time.sleep(0.05)
    assert not loop._cache
    assert loop._bytes._file is None


def test_a_damaged_frame_ahead_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    path = jpeg_loop(tmp_path / "a.dcm", numbered_frames(12))
    loop = open_loop(path)
    assert isinstance(loop, DicomLoop)
    at = loop._frames[6][0].offset
    data = bytearray(path.read_bytes())
    data[at : at + 40] = b"\xaa" * 40
    path.write_bytes(data)
    loop = open_loop(path)
    assert [number_of(loop[k]) for k in range(6)] == list(range(6))
    with pytest.raises(FrameDecodeError, match="Frame 6 of"):
        loop[6]
    assert [number_of(loop[k]) for k in range(7, 12)] == list(range(7, 12))


def test_a_video_played_and_jumped_in_gives_the_right_frames(tmp_path: Path) -> None:
    loop = open_loop(video(tmp_path / "a.mp4", numbered_frames(60), "mpeg4", g="12", bf="2"))
    order = [0, 1, 2, 3, 40, 41, 42, 5, 6, 7, 59, 58, 57, 20, 21, 22, 23]
    assert [number_of(np.asarray(loop[k])) for k in order] == order
