"""Loops stay on disk, and threads may share them."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from m2dino.cine import CineLoop, open_loop
from PIL import Image

from tests.cine.making import (
    dicom_header,
    jpeg,
    jpeg_loop,
    moving_square,
    numbered_frames,
    save_encapsulated,
    save_native,
    video,
)

MIB = 2**20


def _long_dicom(folder: Path, compressed: bool) -> Path:
    """2,000 frames of 256 x 256: 375 MiB decoded."""
    few = moving_square(8, 256, 256)
    if not compressed:
        return save_native(folder / "a.dcm", dicom_header(2000, 256, 256), few.tobytes() * 250)
    coded = [jpeg(frame) for frame in few] * 250
    header = dicom_header(2000, 256, 256, "1.2.840.10008.1.2.4.50", PhotometricInterpretation="YBR_FULL_422")
    return save_encapsulated(folder / "a.dcm", header, coded)


def _peak_growth(loop_path: Path) -> tuple[float, int]:
    """Open and read every frame of a loop; return the growth of resident memory in MiB, and the frames read."""
    process = psutil.Process()
    before = process.memory_info().rss
    loop = open_loop(loop_path)
    most, seen = before, 0
    for frame in loop:
        seen += int(frame.shape == (loop.height, loop.width, 3))
        if seen % 50 == 0:
            most = max(most, process.memory_info().rss)
    return (most - before) / MIB, seen


@pytest.mark.parametrize("kind", ["JPEG", "uncompressed", "video"])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, kind: str) -> None:
    if kind == "video":
        path = video(tmp_path / "a.mp4", np.tile(numbered_frames(40, 240, 320), (50, 1, 1, 1)), "mpeg4", g="50")
        whole = 2000 * 240 * 320 * 3 / MIB
    else:
        path = _long_dicom(tmp_path, compressed=kind == "JPEG")
        whole = 2000 * 256 * 256 * 3 / MIB
    warm = open_loop(path)
    assert warm[0].any()
    warm.close()
    growth, seen = _peak_growth(path)
    assert seen == 2000
    assert growth < 64 + 48 < whole / 3, "the cache is 64 MiB; all else is small change"


@pytest.mark.parametrize("table", [True, False], ids=["offset table", "no offset table"])
def test_any_of_ten_thousand_frames(tmp_path: Path, table: bool) -> None:
    frames = moving_square(100, 24, 32)
    coded = [jpeg(frame) for frame in frames]
    header = dicom_header(10_000, 24, 32, "1.2.840.10008.1.2.4.50", PhotometricInterpretation="YBR_FULL_422")
    loop = open_loop(save_encapsulated(tmp_path / "a.dcm", header, coded * 100, has_bot=table))
    assert len(loop) == 10_000
    few = open_loop(jpeg_loop(tmp_path / "b.dcm", frames))
    assert all(np.array_equal(loop[k], few[k % 100]) for k in (9_999, 0, 5_050, 1, 7_777))
    assert len(loop._cache) == 5, "nothing else was decoded"


def test_the_cache_serves_repeated_looks_and_is_read_only(tmp_path: Path) -> None:
    loop = open_loop(jpeg_loop(tmp_path / "a.dcm", moving_square(3)))
    frame = loop[1]
    assert loop[1] is frame
    assert loop[-2] is frame
    with pytest.raises(ValueError, match="read-only"):
        frame[0, 0, 0] = 1
    with pytest.raises(IndexError):
        loop[3]
    loop.close()
    loop.close()
    assert np.array_equal(loop[1], frame)


def _folder(folder: Path) -> Path:
    for k, frame in enumerate(numbered_frames(40)):
        Image.fromarray(frame).save(folder / f"{k}.png")
    return folder


@pytest.mark.parametrize("kind", ["dicom", "video", "images"])
def test_threads_share_a_loop(tmp_path: Path, kind: str) -> None:
    frames = numbered_frames(40)
    path = {
        "dicom": lambda: jpeg_loop(tmp_path / "a.dcm", frames),
        "video": lambda: video(tmp_path / "a.mp4", frames, "mpeg4", g="10", bf="2"),
        "images": lambda: _folder(tmp_path),
    }[kind]()
    alone = [np.array(frame) for frame in open_loop(path)]
    shared = open_loop(path)
    shared._cache_bytes = 0

    def look(loop: CineLoop, seed: int) -> bool:
        order = random.Random(seed).sample(range(40), 40)
        right = []
        for k in order:
            right.append(np.array_equal(loop[k], alone[k]))
            if k == 7:
                loop.close()
        return all(right)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(look, [shared] * 4, range(4)))


def test_importing_and_opening_import_no_codec_of_another_kind(tmp_path: Path) -> None:
    Image.fromarray(moving_square(1)[0]).save(tmp_path / "a.png")
    script = (
        "import sys, m2dino.cine\n"
        "heavy = {'torch', 'av', 'pydicom', 'imagecodecs', 'PIL', 'qtpy', 'napari'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        f"m2dino.cine.open_loop({str(tmp_path / 'a.png')!r})[0]\n"
        "assert not (heavy - {'PIL'}) & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
