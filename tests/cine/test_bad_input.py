"""Whatever is wrong with a file: one plain, typed sentence that names the file, and no traceback."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from m2dino.cine import open_loop, open_loops
from m2dino.errors import (
    FrameDecodeError,
    LoopError,
    NoPixelDataError,
    TruncatedLoopError,
    UnsupportedLoopError,
    UnsupportedTransferSyntaxError,
    UsageError,
)
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from tests.cine.making import (
    PATIENT,
    PATIENT_ID,
    attempt,
    dicom_header,
    jpeg_loop,
    moving_square,
    rle_loop,
    save_encapsulated,
    save_native,
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.dcm", b"This is a letter, not a picture.\n" * 20),
        ("empty.dcm", b""),
        ("empty.png", b""),
        ("text.mp4", b"This is a letter, not a picture.\n" * 20),
        ("text.png", b"This is a letter, not a picture.\n" * 20),
        ("head.png", b"\x89PNG\r\n\x1a\n"),
        ("magic.dcm", b"\0" * 128 + b"DICM"),
        ("letter.txt", b"Dear colleague"),
        ("table.csv", b"a,b\n1,2\n"),
        ("volume.nii.gz", b"\x1f\x8b\x08\x00"),
        ("volume.mha", b"ObjectType = Image\n"),
        ("volume.nrrd", b"NRRD0004\n"),
        ("noise.dcm", bytes(range(256)) * 8),
        ("script.py", b"print('hello')\n"),
    ],
)
def test_what_is_no_loop_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LoopError, match=name) as caught:
        open_loop(tmp_path / name)
    assert isinstance(caught.value, UnsupportedLoopError | NoPixelDataError)
    assert str(caught.value).count("\n") == 0


def test_missing_paths_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("nothing.dcm", "empty"):
        with pytest.raises(UnsupportedLoopError, match=name):
            open_loop(tmp_path / name)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(2))
    path.chmod(0)
    with pytest.raises(UnsupportedLoopError, match=r"a\.dcm"):
        open_loop(path)


def test_a_folder_of_several_loops(tmp_path: Path) -> None:
    for k in (10, 2, 1):
        jpeg_loop(tmp_path / f"IM{k}", moving_square(k))
    (tmp_path / "report.dcm").write_bytes(Path(get_testdata_file("reportsi.dcm", download=False)).read_bytes())
    with pytest.raises(UsageError, match="choose one"):
        open_loop(tmp_path)
    assert [len(loop) for loop in open_loops(tmp_path)] == [1, 2, 10]


def test_a_folder_with_a_single_loop_is_that_loop(tmp_path: Path) -> None:
    jpeg_loop(tmp_path / "IM1", moving_square(3))
    assert len(open_loop(tmp_path)) == 3


@pytest.mark.parametrize("name", ["reportsi.dcm", "rtplan.dcm", "waveform_ecg.dcm", "test-SR.dcm"])
def test_dicom_without_pixels(name: str) -> None:
    with pytest.raises(NoPixelDataError):
        open_loop(get_testdata_file(name, download=False))


def test_an_image_whose_pixels_were_taken_out(tmp_path: Path) -> None:
    data = dicom_header(3, 20, 20)
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(NoPixelDataError):
        open_loop(tmp_path / "a.dcm")


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.92", "1.2.3.4.5.6"])
def test_an_unknown_compression_is_named_with_what_to_install(tmp_path: Path, uid: str) -> None:
    data = dicom_header(1, 20, 20, "1.2.840.10008.1.2.4.50")
    data.file_meta.TransferSyntaxUID = UID(uid)
    path = save_encapsulated(tmp_path / "a.dcm", data, [b"\0\0\0\1" * 10])
    with pytest.raises(UnsupportedTransferSyntaxError, match=uid) as caught:
        open_loop(path)
    assert UID(uid).name in str(caught.value)
    assert "install" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"NumberOfFrames": 2_000_000_000}, {"Rows": 65535, "Columns": 1000}, {"NumberOfFrames": 5}, {"Columns": 65535}],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_header_that_claims_more_than_the_file_holds(
    tmp_path: Path, change: dict[str, int], compressed: bool
) -> None:
    frames = moving_square(4)
    if compressed:
        path = jpeg_loop(tmp_path / "a.dcm", frames, **change)
    else:
        path = save_native(tmp_path / "a.dcm", dicom_header(4, 48, 64, **change), frames.tobytes())
    with pytest.raises(TruncatedLoopError, match="claims"):
        open_loop(path)


def test_run_lengths_that_cannot_fill_the_claimed_frame(tmp_path: Path) -> None:
    path = rle_loop(tmp_path / "a.dcm", moving_square(3))
    data = dcmread(path)
    data.Rows, data.Columns = 8000, 8000
    data.save_as(path)
    with pytest.raises(TruncatedLoopError, match="claims"):
        open_loop(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.raises(UnsupportedLoopError, match=r"pipe\.dcm"):
        open_loop(tmp_path / "pipe.dcm")


@pytest.mark.parametrize("change", [{"Rows": 0}, {"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 0}])
def test_a_size_that_no_frame_has(tmp_path: Path, change: dict[str, int]) -> None:
    path = save_native(tmp_path / "a.dcm", dicom_header(4, 48, 64, **change), moving_square(4).tobytes())
    with pytest.raises(UnsupportedLoopError, match="claims"):
        open_loop(path)


@pytest.mark.parametrize("photometric", ["YBR_PARTIAL_420", "HSV", "MONOCHROME2"])
def test_a_colour_model_that_does_not_fit(tmp_path: Path, photometric: str) -> None:
    header = dicom_header(2, 48, 64, PhotometricInterpretation=photometric)
    with pytest.raises(UnsupportedLoopError, match=r"a\.dcm"):
        open_loop(save_native(tmp_path / "a.dcm", header, moving_square(2).tobytes()))


def test_a_huge_png_header_takes_no_memory(tmp_path: Path) -> None:
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">LLBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    with pytest.raises(UnsupportedLoopError, match=r"a\.png"):
        open_loop(tmp_path / "a.png")


def test_one_damaged_frame_leaves_the_others_usable(tmp_path: Path) -> None:
    frames = moving_square(6)
    path = jpeg_loop(tmp_path / "a.dcm", frames)
    loop = open_loop(path)
    good = [np.array(frame) for frame in loop]
    at = loop._frames[3][0].offset
    loop.close()
    data = bytearray(path.read_bytes())
    data[at : at + 40] = b"\xaa" * 40
    path.write_bytes(data)
    loop = open_loop(path)
    with pytest.raises(FrameDecodeError, match="Frame 3 of"):
        loop[3]
    assert all(np.array_equal(loop[k], good[k]) for k in (0, 1, 2, 4, 5))


def test_a_jpeg_ls_frame_without_its_end_is_damaged(tmp_path: Path) -> None:
    """Its codec would search for the end for ten seconds."""
    content = bytearray(Path(get_testdata_file("SC_rgb_jls_lossy_line.dcm", download=False)).read_bytes())
    start = content.index(b"\xff\xd8\xff\xe8")
    content[start + 321] ^= 0x08
    content[start + 508] ^= 0x20
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(FrameDecodeError, match="Frame 0 of"):
        open_loop(tmp_path / "a.dcm")[0]


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "replaced"])
def test_a_file_that_changes_meanwhile_gives_no_other_pixels(tmp_path: Path, gone: bool) -> None:
    path = jpeg_loop(tmp_path / "a.dcm", moving_square(6))
    loop = open_loop(path)
    path.unlink()
    if not gone:
        jpeg_loop(path, moving_square(9))
    with pytest.raises(FrameDecodeError, match="Frame 2 of"):
        loop[2]


def test_messages_hold_no_patient_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = moving_square(3)
    bad = [
        jpeg_loop(tmp_path / "a.dcm", frames, NumberOfFrames=9),
        jpeg_loop(tmp_path / "b.dcm", frames, Rows=0),
        save_native(tmp_path / "c.dcm", dicom_header(3, 48, 64, BitsAllocated=32), frames.tobytes()),
    ]
    for path in bad:
        with pytest.raises(LoopError) as caught:
            open_loop(path)
        told = str(caught.value) + caplog.text
        assert PATIENT not in told
        assert PATIENT_ID not in told
        assert "20010203" not in told


class Specimens(dict[str, bytes]):
    """File contents by name; a failing example need not print them."""

    def __repr__(self) -> str:
        return f"Specimens({sorted(self)})"


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> Specimens:
    """A small file of every kind, as bytes."""
    from PIL import Image

    from tests.cine.making import video

    folder = tmp_path_factory.mktemp("specimens")
    frames = moving_square(5, 40, 48)
    jpeg_loop(folder / "jpeg.dcm", frames)
    rle_loop(folder / "rle.dcm", frames)
    save_native(folder / "native.dcm", dicom_header(5, 40, 48), frames.tobytes())
    Image.fromarray(frames[0]).save(folder / "still.png")
    Image.fromarray(frames[0]).save(folder / "still.tif")
    Image.fromarray(frames[0]).save(folder / "still.jpg")
    video(folder / "video.mp4", frames, "mpeg4")
    video(folder / "video.avi", frames, "mjpeg")
    return Specimens({path.name: path.read_bytes() for path in sorted(folder.iterdir())})


def _survives(name: str, content: bytes) -> None:
    """Open and decode everything: typed errors, or frames of the stated shape, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        loop, error = attempt(lambda: open_loop(path))
        if loop is None:
            assert name in str(error)
            return
        assert 1 <= len(loop) <= 10_000
        for k in range(min(len(loop), 8)):
            frame, error = attempt(lambda k=k: loop[k])
            if frame is None:
                assert isinstance(error, FrameDecodeError)
                assert name in str(error)
            else:
                assert frame.shape == loop.shape[1:]
                assert frame.dtype == np.uint8
        loop.close()


KINDS = ["jpeg.dcm", "rle.dcm", "native.dcm", "still.png", "still.tif", "still.jpg", "video.mp4", "video.avi"]
_SETTINGS = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("name", KINDS)
@_SETTINGS
@given(share=st.floats(0, 1))
def test_cut_anywhere(specimens: Specimens, name: str, share: float) -> None:
    content = specimens[name]
    _survives(name, content[: int(share * (len(content) - 1))])


@pytest.mark.parametrize("name", KINDS)
@_SETTINGS
@given(flips=st.lists(st.tuples(st.floats(0, 1) | st.floats(0, 0.1), st.integers(0, 7)), min_size=1, max_size=12))
def test_bits_flipped_anywhere(specimens: Specimens, name: str, flips: list[tuple[float, int]]) -> None:
    content = bytearray(specimens[name])
    for share, bit in flips:
        content[int(share * (len(content) - 1))] ^= 1 << bit
    _survives(name, bytes(content))


@pytest.mark.parametrize("name", ["jpeg.dcm", "rle.dcm", "native.dcm"])
def test_a_cut_dicom_loop_never_opens_as_if_whole(specimens: Specimens, name: str, tmp_path: Path) -> None:
    content = specimens[name]
    for share in (0.3, 0.6, 0.9, 0.98):
        (tmp_path / name).write_bytes(content[: int(len(content) * share)])
        with pytest.raises(LoopError):
            open_loop(tmp_path / name)
