"""DICOM files that are compressed as one stream: videos in an envelope, and deflated data sets."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from m2dino.cine import open_loop
from m2dino.errors import LoopError, TruncatedLoopError, UnsupportedLoopError
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.cine.making import (
    PATIENT,
    dicom_header,
    moving_square,
    number_of,
    numbered_frames,
    region,
    save_native,
    video_dicom,
    video_stream,
)

# Transfer syntax, encoder, what the stream is wrapped in, encoder options.
STREAMS = [
    ("1.2.840.10008.1.2.4.100", "mpeg2video", "mpeg2video", {"g": "10", "bf": "2"}),
    ("1.2.840.10008.1.2.4.101", "mpeg2video", "mpegts", {"g": "10", "bf": "2"}),
    ("1.2.840.10008.1.2.4.102", "libx264", "mpegts", {"g": "12", "bf": "2"}),
    ("1.2.840.10008.1.2.4.103", "libx264", "mp4", {"g": "12", "bf": "2"}),
    ("1.2.840.10008.1.2.4.102", "libx264", "h264", {"g": "12", "bf": "2"}),
    ("1.2.840.10008.1.2.4.107", "libx265", "mpegts", {"x265-params": "log-level=none:keyint=12"}),
]
H264 = "1.2.840.10008.1.2.4.102"


def _stream(codec: str, container: str, options: dict[str, str], count: int = 40) -> bytes:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no encoder {codec}")
    return video_stream(numbered_frames(count), codec, container, **options)


@pytest.mark.parametrize(
    ("syntax", "codec", "container", "options"), STREAMS, ids=[f"{codec}-{inside}" for _, codec, inside, _ in STREAMS]
)
def test_a_video_in_dicom_gives_every_frame_in_any_order(
    tmp_path: Path, syntax: str, codec: str, container: str, options: dict[str, str]
) -> None:
    stream = _stream(codec, container, options)
    item = region(RegionLocationMaxX1=100, RegionLocationMaxY1=80)
    more = {"FrameTime": "33", "SequenceOfUltrasoundRegions": [item]}
    loop = open_loop(video_dicom(tmp_path / "a.dcm", stream, syntax, 40, **more))
    assert loop.shape == (40, 96, 128, 3)
    assert (loop.reader, loop.frame_time_s, loop.frame_time_source) == ("dicom", 0.033, "frame time")
    assert loop.calibration is not None
    assert [number_of(frame) for frame in loop] == list(range(40))
    loop.close()
    order = [*random.Random(2).sample(range(40), 20), 39, 0, 38, 37, 1]
    assert [number_of(loop[k]) for k in order] == order
    assert PATIENT not in str(vars(loop._header.elements))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("syntax", "codec", "options"),
    [
        ("1.2.840.10008.1.2.4.100", "mpeg2video", {"g": "15", "bf": "2"}),
        ("1.2.840.10008.1.2.4.102", "libx264", {"g": "50", "bf": "3"}),
        ("1.2.840.10008.1.2.4.107", "libx265", {"x265-params": "log-level=none:keyint=50"}),
    ],
    ids=["mpeg2", "h264", "hevc"],
)
def test_a_bare_stream_is_exact_backwards(tmp_path: Path, syntax: str, codec: str, options: dict[str, str]) -> None:
    """It has no index: every jump back decodes from the start, and still gives the frame that was asked for."""
    container = {"mpeg2video": "mpeg2video", "libx264": "h264", "libx265": "hevc"}[codec]
    stream = _stream(codec, container, options, 300)
    loop = open_loop(video_dicom(tmp_path / "a.dcm", stream, syntax, 300))
    assert len(loop) == 300
    backwards = list(range(299, -1, -1))
    assert [number_of(loop[k]) for k in backwards] == backwards
    loop.close()
    anywhere = random.Random(7).sample(range(300), 25)
    assert [number_of(loop[k]) for k in anywhere] == anywhere


def test_a_stream_in_many_fragments_and_without_times_in_the_header(tmp_path: Path) -> None:
    stream = _stream("libx264", "mp4", {"g": "12"})
    loop = open_loop(video_dicom(tmp_path / "a.dcm", stream, f"{H264}.1", 40, fragments=7))
    assert [number_of(loop[k]) for k in (39, 5, 17)] == [39, 5, 17]
    assert loop.frame_time_s == pytest.approx(0.04)
    assert loop.frame_time_source == "timestamps"
    (tmp_path / "a.mp4").write_bytes(stream)
    assert open_loop(tmp_path / "a.mp4").identity == loop.identity


def test_the_count_of_the_stream_is_true_within_a_frame_or_two(tmp_path: Path) -> None:
    stream = _stream("libx264", "mpegts", {})
    assert len(open_loop(video_dicom(tmp_path / "a.dcm", stream, H264, 41))) == 40
    with pytest.raises(TruncatedLoopError, match="holds 40 frames but its header claims 90"):
        open_loop(video_dicom(tmp_path / "b.dcm", stream, H264, 90))
    with pytest.raises(UnsupportedLoopError, match="claims 20"):
        open_loop(video_dicom(tmp_path / "c.dcm", stream, H264, 20))
    with pytest.raises(TruncatedLoopError):
        open_loop(video_dicom(tmp_path / "d.dcm", stream[: len(stream) // 2], H264, 40))
    with pytest.raises(UnsupportedLoopError, match="claims frames of"):
        open_loop(video_dicom(tmp_path / "e.dcm", stream, H264, 40, Rows=200))


def _deflated(folder: Path, frames: np.ndarray) -> tuple[Path, Path]:
    plain = save_native(folder / "plain.dcm", dicom_header(*frames.shape[:3]), frames.tobytes())
    data = dicom_header(*frames.shape[:3], DeflatedExplicitVRLittleEndian)
    return save_native(folder / "deflated.dcm", data, frames.tobytes()), plain


def test_a_deflated_loop_equals_its_plain_twin(tmp_path: Path) -> None:
    frames = moving_square(6)
    path, plain = _deflated(tmp_path, frames)
    loop = open_loop(path)
    assert loop.codec == "deflated"
    assert all(np.array_equal(loop[k], frames[k]) for k in (5, 0, 3))
    loop.close()
    assert np.array_equal(loop[2], frames[2])
    assert loop.identity == open_loop(plain).identity


def test_a_real_deflated_image() -> None:
    loop = open_loop(get_testdata_file("image_dfl.dcm", download=False))
    assert loop.shape == (1, 512, 512, 3)
    assert loop[0].std() > 10


def test_a_deflated_loop_that_is_cut_damaged_or_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = _deflated(tmp_path, moving_square(6))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 50])
    with pytest.raises(TruncatedLoopError, match=r"deflated\.dcm"):
        open_loop(path)
    path.write_bytes(whole[:600] + b"\xff" * 50 + whole[650:])
    with pytest.raises(LoopError, match=r"deflated\.dcm"):
        open_loop(path)
    monkeypatch.setattr("m2dino.cine.inflated.MAX_INFLATED_BYTES", 8 * 2**20)
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(bomb.compress(b"\0" * 2**20) for _ in range(20)) + bomb.flush()
    start = whole.index(b"1.2.840.10008.1.2.1.99")
    end_of_meta = 132 + 12 + int.from_bytes(whole[140:144], "little")
    assert start < end_of_meta
    path.write_bytes(whole[:end_of_meta] + packed)
    with pytest.raises(UnsupportedLoopError, match="MiB"):
        open_loop(path)
