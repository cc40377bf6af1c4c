"""NumPy files: mapped, never unpickled, and asked about where their axes are not plain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from m2dino.cine import open_loop
from m2dino.errors import AmbiguousLoopError, FrameDecodeError, LoopError, TruncatedLoopError, UnsupportedLoopError

from tests.cine.making import jpeg_loop, moving_square

FRAMES = moving_square(9, 40, 50)
GREY = FRAMES[..., 0]


def _save(path: Path, values: np.ndarray) -> Path:
    np.save(path, values) if path.suffix == ".npy" else np.savez_compressed(path, frames=values)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_colour_frames(tmp_path: Path, name: str) -> None:
    loop = open_loop(_save(tmp_path / name, FRAMES))
    assert loop.shape == FRAMES.shape
    assert loop.reader == "array"
    assert all(np.array_equal(loop[k], FRAMES[k]) for k in (8, 0, 3))
    loop.close()
    assert np.array_equal(loop[4], FRAMES[4])
    assert loop.calibration is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_grey_frames_along_any_axis_once_it_is_chosen(tmp_path: Path, order: str) -> None:
    path = _save(tmp_path / "a.npy", np.asarray(GREY, order=order))  # type: ignore[call-overload]
    with pytest.raises(AmbiguousLoopError, match="0 gives 9 frames of 50 × 40") as caught:
        open_loop(path)
    assert set(caught.value.choices) == {"0", "1", "2"}
    assert np.array_equal(open_loop(path, frame_axis=0)[5][..., 0], GREY[5])
    assert np.array_equal(open_loop(path, frame_axis="2")[5][..., 0], GREY[:, :, 5])


def test_single_pictures_and_other_shapes(tmp_path: Path) -> None:
    assert open_loop(_save(tmp_path / "a.npy", GREY[0])).shape == (1, 40, 50, 3)
    assert np.array_equal(open_loop(_save(tmp_path / "b.npy", FRAMES[2]))[0], FRAMES[2])
    assert open_loop(_save(tmp_path / "c.npy", GREY[..., None])).shape == (9, 40, 50, 3)
    assert open_loop(_save(tmp_path / "d.npy", GREY > 99), frame_axis=0)[3].max() == 255
    for name, values in (("e.npy", np.zeros((3, 9, 40, 50))), ("f.npy", np.zeros(9)), ("g.npy", np.zeros((0, 4, 4)))):
        with pytest.raises(UnsupportedLoopError, match=name):
            open_loop(_save(tmp_path / name, values))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return open, (str(touched), "w")  # type: ignore[return-value]

    trap = np.empty((2, 2), dtype=object)
    trap[:] = Trap()
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "b.npz", frames=trap)
    touched.unlink(missing_ok=True)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(LoopError, match=name):
            open_loop(tmp_path / name)
    assert not touched.exists()


def test_an_archive_with_two_loops_and_one_with_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=FRAMES, two=FRAMES)
    with pytest.raises(UnsupportedLoopError, match="2 arrays"):
        open_loop(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", frames=FRAMES, ed=np.array([3]), es=np.array(7))
    assert len(open_loop(tmp_path / "b.npz")) == 9


def test_a_file_that_is_cut_or_replaced(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.npy", FRAMES)
    data = path.read_bytes()
    (tmp_path / "b.npy").write_bytes(data[: len(data) // 2])
    with pytest.raises(TruncatedLoopError, match=r"b\.npy"):
        open_loop(tmp_path / "b.npy")
    loop = open_loop(path)
    _save(path, FRAMES[:5])
    with pytest.raises(FrameDecodeError, match=r"Frame 7 of .*a\.npy"):
        loop[7]


def test_arrays_beside_other_loops_are_not_taken_for_loops(tmp_path: Path) -> None:
    jpeg_loop(tmp_path / "a.dcm", FRAMES)
    _save(tmp_path / "labels.npy", GREY)
    assert open_loop(tmp_path).reader == "dicom"
    assert open_loop(tmp_path / "labels.npy", frame_axis=0).reader == "array"
    (tmp_path / "a.dcm").unlink()
    assert open_loop(tmp_path, frame_axis=0).reader == "array"
