"""Folders of images, single stills and TIFF files of several pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from m2dino.cine import loop_paths, open_found, open_loop, open_loops
from m2dino.errors import FrameDecodeError, UnsupportedLoopError, UsageError
from numpy.typing import NDArray
from PIL import Image

from tests.cine.making import moving_square

SAMPLE = Path(__file__).parents[2] / "napari_m2dino" / "samples" / "carotid"


def test_the_sample_loop() -> None:
    loop = open_loop(SAMPLE)
    assert loop.shape == (40, 749, 709, 3)
    assert (loop.reader, loop.codec) == ("images", "JPEG")
    assert loop.frame_time_s is None
    assert loop.calibration is None
    assert np.array_equal(loop[7], np.asarray(Image.open(SAMPLE / "007.jpg")))


def test_frames_come_in_the_order_in_which_people_count(tmp_path: Path) -> None:
    frames = moving_square(12)
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"Frame{k}.{'PNG' if k % 2 else 'png'}")
    (tmp_path / ".hidden.png").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("not an image")
    loop = open_loop(tmp_path)
    assert len(loop) == 12
    assert all(np.array_equal(frame, wanted) for frame, wanted in zip(loop, frames, strict=True))
    assert np.array_equal(loop[-1], frames[11])


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    for k in range(3):
        Image.new("RGB", (20, 10 + (k == 1))).save(tmp_path / f"{k}.png")
    with pytest.raises(UnsupportedLoopError, match=r"1\.png is 20 × 11 pixels but 0\.png is 20 × 10"):
        open_loop(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("png", mode) for mode in ("L", "P", "RGBA", "1", "RGB")]
    + [("tif", mode) for mode in ("L", "P", "RGBA", "1", "CMYK", "RGB")]
    + [("bmp", mode) for mode in ("L", "P", "1", "RGB")]
    + [("jpg", mode) for mode in ("L", "CMYK", "RGB")],
)
def test_colour_models(tmp_path: Path, suffix: str, mode: str) -> None:
    image = Image.fromarray(moving_square(1)[0]).convert(mode)
    path = tmp_path / f"still.{suffix}"
    image.save(path)
    loop = open_loop(path)
    assert loop.shape == (1, 48, 64, 3)
    assert np.array_equal(loop[0], np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    Image.fromarray(ramp).save(tmp_path / f"deep.{suffix}")
    shown = open_loop(tmp_path / f"deep.{suffix}")[0]
    assert np.array_equal(shown[..., 0], np.rint(ramp / 65535 * 255))


def test_tiff_pages_are_frames(tmp_path: Path) -> None:
    frames = moving_square(6)
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(tmp_path / "stack.tif", save_all=True, append_images=rest, compression="tiff_lzw")
    loop = open_loop(tmp_path / "stack.tif")
    assert len(loop) == 6
    assert all(np.array_equal(loop[k], frames[k]) for k in (5, 1, 3, 0))


def _pages(path: Path, frames: NDArray[np.uint8]) -> Path:
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=rest)
    return path


def test_a_tiff_of_pages_beside_single_images_is_a_loop_of_its_own(tmp_path: Path) -> None:
    frames = moving_square(9)
    for k in range(3):
        Image.fromarray(frames[k]).save(tmp_path / f"{k}.{'tif' if k else 'png'}")
    stack = _pages(tmp_path / "1 stack.TIFF", frames[3:])
    (tmp_path / "1 cut.tif").write_bytes(b"II*\0")
    with pytest.raises(UnsupportedLoopError, match=r"1 cut\.tif"):
        open_loops(tmp_path)
    (tmp_path / "1 cut.tif").unlink()
    assert loop_paths(tmp_path) == [tmp_path, stack]
    for stills, pages in (open_loops(tmp_path), [open_found(path) for path in loop_paths(tmp_path)]):
        assert (len(stills), len(pages)) == (3, 6)
        assert all(np.array_equal(stills[k], frames[k]) for k in range(3))
        assert all(np.array_equal(pages[k], frames[3 + k]) for k in range(6))
    with pytest.raises(UsageError, match="holds 2 loops"):
        open_loop(tmp_path)


def test_a_folder_of_nothing_but_tiffs_of_pages(tmp_path: Path) -> None:
    first = _pages(tmp_path / "a.tif", moving_square(4))
    assert len(open_loop(tmp_path)) == 4
    second = _pages(tmp_path / "b.tif", moving_square(5))
    assert loop_paths(tmp_path) == [first, second]
    with pytest.raises(UnsupportedLoopError, match="open it by its name"):
        open_found(tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(moving_square(1)[0])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    loop = open_loop(tmp_path / "a.jpg")
    assert (loop.width > loop.height) == (orientation < 5)
    turned = np.array(loop[0])
    # The standard's meaning of each value: where the stored first row and column end up.
    back = {
        1: turned,
        2: turned[:, ::-1],
        3: turned[::-1, ::-1],
        4: turned[::-1],
        5: turned.transpose(1, 0, 2),
        6: np.rot90(turned, 1),
        7: turned[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(turned, -1),
    }[orientation]
    assert np.abs(back.astype(int) - np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)).max() <= 2


def test_one_damaged_image_leaves_the_others_usable(tmp_path: Path) -> None:
    frames = moving_square(4)
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{k}.png")
    data = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) // 2])
    loop = open_loop(tmp_path)
    with pytest.raises(FrameDecodeError, match=r"2\.png"):
        loop[2]
    assert np.array_equal(loop[3], frames[3])
