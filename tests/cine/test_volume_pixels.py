"""Pixels of volumes in every form, against SimpleITK; long compressed ones in little memory; cut and damaged ones."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from m2dino.cine import CineLoop, open_loop
from m2dino.errors import FrameDecodeError, UnsupportedLoopError
from numpy.typing import NDArray

from tests.cine.making import moving_square

GREY = np.ascontiguousarray(moving_square(7, 30, 44)[..., 0])
KINDS = ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]


def _values(kind: str) -> NDArray[np.generic]:
    values = GREY.astype(np.float64) * (1.5 if kind[0] == "f" else 100 if kind[1] != "1" else 1)
    return (values - (100 if kind[0] == "i" else 0)).astype(kind)


def _stored(loop: CineLoop, index: int) -> NDArray[np.generic]:
    return loop._slice(index)  # type: ignore[attr-defined]


def _equals_itk(path: Path) -> None:
    """Compare every plane along every axis with what SimpleITK reads at once."""
    whole = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    for axis, place in (("z", 0), ("y", 1), ("x", 2)):
        loop = open_loop(path, frame_axis=axis)
        for k in {0, 3, len(loop) - 1}:
            expected = np.take(whole, k, axis=place)
            assert np.array_equal(_stored(loop, k), expected)
            assert loop[k].shape == (loop.height, loop.width, 3)
        loop.close()


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nhdr", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_planes_of_every_kind(tmp_path: Path, name: str, packed: bool, kind: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(_values(kind)), str(tmp_path / name), packed)
    _equals_itk(tmp_path / name)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("name", ["a.mha", "a.nrrd", "a.nii", "a.nii.gz"])
def test_colour(tmp_path: Path, name: str, packed: bool) -> None:
    frames = moving_square(5, 30, 44)
    sitk.WriteImage(sitk.GetImageFromArray(frames, isVector=True), str(tmp_path / name), packed)
    if name.startswith("a.nii"):
        # SimpleITK writes vectors as a fifth dimension there, plane by plane.
        assert open_loop(tmp_path / name, frame_axis="z").shape == (5, 30, 44, 3)
    loop = open_loop(tmp_path / name, frame_axis="z")
    assert all(np.array_equal(loop[k], frames[k]) for k in (4, 0, 2))


def _nifti(order: str, values: NDArray[np.generic], slope: float = 0, intercept: float = 0, version: int = 1) -> bytes:
    code = {"u1": 2, "i2": 4, "f4": 16}[values.dtype.str[1:]]
    depth, height, width = values.shape
    bits = values.dtype.itemsize * 8
    if version == 1:
        head = bytearray(352)
        struct.pack_into(f"{order}i", head, 0, 348)
        struct.pack_into(f"{order}8h", head, 40, 3, width, height, depth, 1, 1, 1, 1)
        struct.pack_into(f"{order}2h", head, 70, code, bits)
        struct.pack_into(f"{order}8f", head, 76, 1, 1, 1, 1, 1, 1, 1, 1)
        struct.pack_into(f"{order}3f", head, 108, 352, slope, intercept)
        head[344:348] = b"n+1\0"
    else:
        head = bytearray(544)
        struct.pack_into(f"{order}i8s2h", head, 0, 540, b"n+2\0\r\n\x1a\n", code, bits)
        struct.pack_into(f"{order}8q", head, 16, 3, width, height, depth, 1, 1, 1, 1)
        struct.pack_into(f"{order}8d", head, 104, 1, 1, 1, 1, 1, 1, 1, 1)
        struct.pack_into(f"{order}q2d", head, 168, 544, slope, intercept)
    return bytes(head) + values.astype(values.dtype.newbyteorder(order)).tobytes()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("rescale", [(0, 0), (0.5, -20), (1, 7), (float("nan"), 0)])
def test_nifti_of_both_byte_orders_and_scaled(
    tmp_path: Path, version: int, order: str, rescale: tuple[float, float]
) -> None:
    content = _nifti(order, _values("i2"), *rescale, version)
    (tmp_path / "a.nii").write_bytes(content)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content))
    for name in ("a.nii", "b.nii.gz"):
        loop = open_loop(tmp_path / name, frame_axis="z")
        slope, intercept = rescale if rescale[0] and rescale[0] == rescale[0] else (1, 0)
        for k in (6, 0, 3):
            assert np.allclose(_stored(loop, k), _values("i2")[k] * slope + intercept)
    if version == 1 and rescale[0] == rescale[0]:
        _equals_itk(tmp_path / "a.nii")


def test_big_endian_metaimage_and_nrrd(tmp_path: Path) -> None:
    values = _values("i2")
    for name, key, big in (
        ("a.mha", b"BinaryDataByteOrderMSB = False", b"BinaryDataByteOrderMSB = True"),
        ("a.nrrd", b"endian: little", b"endian: big"),
    ):
        sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / name), False)
        content = (tmp_path / name).read_bytes()
        assert key in content
        (tmp_path / name).write_bytes(content[: -values.nbytes].replace(key, big) + values.astype(">i2").tobytes())
        _equals_itk(tmp_path / name)


def test_forms_that_only_simpleitk_reads(tmp_path: Path) -> None:
    numbers = " ".join(map(str, GREY.ravel()))
    (tmp_path / "a.mha").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = False\nDimSize = 44 30 7\nElementType = MET_UCHAR\n"
        f"ElementDataFile = LOCAL\n{numbers}\n"
    )
    (tmp_path / "a.nrrd").write_text(
        f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 44 30 7\nencoding: ascii\n\n{numbers}\n"
    )
    # Eight bytes of something else before the pixels.
    (tmp_path / "b.raw").write_bytes(b"????????" + GREY.tobytes())
    (tmp_path / "b.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nHeaderSize = 8\nDimSize = 44 30 7\n"
        "ElementType = MET_UCHAR\nElementDataFile = b.raw\n"
    )
    (tmp_path / "b.nhdr").write_text(
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 44 30 7\nencoding: raw\nbyte skip: 8\ndata file: b.raw\n"
    )
    for name in ("a.mha", "a.nrrd", "b.mhd", "b.nhdr"):
        loop = open_loop(tmp_path / name, frame_axis="z")
        assert all(np.array_equal(loop[k][..., 0], GREY[k]) for k in (6, 0, 3))


def test_a_sequence_of_slicer_counts_its_list(tmp_path: Path) -> None:
    """In its files the list is the fastest axis, and there is a third spatial one of length 1."""
    stored = np.ascontiguousarray(GREY.transpose(1, 2, 0))[None]
    head = (
        "NRRD0005\ntype: uchar\ndimension: 4\nspace: left-posterior-superior\nsizes: 7 44 30 1\n"
        "kinds: list domain domain domain\nspace directions: none (0.2,0,0) (0,0.3,0) (0,0,1)\n"
        "encoding: gzip\nendian: little\n\n"
    )
    (tmp_path / "a.seq.nrrd").write_bytes(head.encode() + gzip.compress(stored.tobytes()))
    loop = open_loop(tmp_path / "a.seq.nrrd")
    assert loop.shape == (7, 30, 44, 3)
    assert all(np.array_equal(loop[k][..., 0], GREY[k]) for k in (6, 0, 3))
    assert loop.calibration is not None
    assert (loop.calibration.dy_mm, loop.calibration.dx_mm) == pytest.approx((0.3, 0.2))


def test_gzip_of_many_members(tmp_path: Path) -> None:
    content = _nifti("<", GREY)
    pieces = [content[k : k + 1000] for k in range(0, len(content), 1000)]
    (tmp_path / "a.nii.gz").write_bytes(b"".join(map(gzip.compress, pieces)))
    loop = open_loop(tmp_path / "a.nii.gz", frame_axis="z")
    assert all(np.array_equal(loop[k][..., 0], GREY[k]) for k in (6, 0, 3))


def _packed(folder: Path, name: str, values: NDArray[np.generic]) -> Path:
    if name.endswith(".gz"):
        (folder / name).write_bytes(gzip.compress(_nifti("<", values), 1))
    else:
        sitk.WriteImage(sitk.GetImageFromArray(values), str(folder / name), True)
    return folder / name


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd", "a.nii.gz"])
def test_frames_before_a_cut_stay_usable(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 60, 80), np.uint8)
    path = _packed(tmp_path, name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    loop = open_loop(path, frame_axis="z")
    assert len(loop) == 20
    assert np.array_equal(loop[0][..., 0], noise[0])
    assert np.array_equal(loop[7][..., 0], noise[7])
    for k in (12, 19):
        with pytest.raises(FrameDecodeError, match=f"Frame {k} of"):
            loop[k]
    with pytest.raises(FrameDecodeError):
        open_loop(path, frame_axis="x")[0]


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd", "a.nii.gz"])
def test_a_flipped_bit_is_never_shown_as_a_picture(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 60, 80), np.uint8)
    path = _packed(tmp_path, name, noise)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    loop = open_loop(path, frame_axis="z")
    for k in range(5):
        with pytest.raises(FrameDecodeError, match=f"Frame {k} of"):
            loop[k]


def test_more_than_there_is_room_for_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _packed(tmp_path, "a.nrrd", GREY)
    monkeypatch.setattr("m2dino.cine.volume_pixels.MOST_UNPACKED_BYTES", GREY.nbytes - 1)
    with pytest.raises(UnsupportedLoopError, match="uncompressed MetaImage"):
        open_loop(path, frame_axis="z")


_PLAY = (
    "import sys, psutil; from m2dino.cine import open_loop\n"
    "loop, peak, us = open_loop(sys.argv[1], frame_axis=sys.argv[2]), 0, psutil.Process()\n"
    "for k in range(int(sys.argv[3])):\n"
    "    loop[k]\n"
    "    peak = max(peak, us.memory_info().rss)\n"
    "loop.close(); print(peak / 2**20)\n"
)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "raw.nrrd", "a.npy"])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, name: str) -> None:
    """All 128 MB of frames play in the memory of the first few, which fill the cache."""
    frames = np.zeros((800, 400, 400), np.uint8)
    frames[:, ::7, ::5] = np.arange(800).astype(np.uint8)[:, None, None]
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, frames)
    elif name == "a.nii.gz":
        path.write_bytes(gzip.compress(_nifti("<", frames), 1))
    else:
        head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 400 400 800\nendian: little\nencoding: "
        packed = name == "a.nrrd"
        squeezer = zlib.compressobj(1, zlib.DEFLATED, 31)
        data = squeezer.compress(frames) + squeezer.flush() if packed else frames.tobytes()
        path.write_bytes(f"{head}{'gzip' if packed else 'raw'}\n\n".encode() + data)
    axis = "0" if name == "a.npy" else "z"

    def peak(count: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", _PLAY, str(path), axis, str(count)], capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    assert peak(800) - peak(150) < 40


def test_unpacking_ahead_says_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (40, 1, 300, 400), np.uint8)
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(frames, isVector=False), str(path))
    loop = open_loop(path)
    assert loop.bytes_to_unpack == frames.nbytes
    told: list[tuple[int, int, str]] = []
    loop.prepare(lambda *now: told.append(now), should_stop=lambda: len(told) == 2)
    assert len(told) == 2
    assert loop.bytes_to_unpack == frames.nbytes, "stopped, nothing is unpacked"
    loop.prepare(lambda *now: told.append(now))
    assert [done for done, _, _ in told[2:]] == sorted(done for done, _, _ in told[2:])
    assert told[-1] == (frames.nbytes, frames.nbytes, "Unpacking a.nii.gz")
    assert loop.bytes_to_unpack == 0
    assert np.array_equal(loop[39][..., 0], frames[39, 0])


def test_what_is_packed_and_damaged_is_told_before_a_frame_is_asked_for(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 1, 60, 80), np.uint8)
    for name in ("a.nii", "b.nii.gz"):
        sitk.WriteImage(sitk.GetImageFromArray(frames, isVector=False), str(tmp_path / name))
    assert open_loop(tmp_path / "a.nii").bytes_to_unpack == 0
    data = bytearray((tmp_path / "b.nii.gz").read_bytes())
    data[-8:-4] = bytes(4)  # the sum
    (tmp_path / "b.nii.gz").write_bytes(data)
    with pytest.raises(UnsupportedLoopError, match=r"b\.nii\.gz is damaged"):
        open_loop(tmp_path / "b.nii.gz").prepare()
