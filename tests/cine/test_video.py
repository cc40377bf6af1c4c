"""Videos: exactly the frame that was asked for, in any order."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from m2dino.cine import open_loop
from m2dino.errors import M2DinoError, TruncatedLoopError

from tests.cine.making import number_of, numbered_frames, turn_mp4, video

# Container, encoder and its options: without and with frames stored out of order, one and many keyframes.
KINDS = [
    ("a.mp4", "mpeg4", {"g": "12"}),
    ("b.mp4", "mpeg4", {"g": "15", "bf": "2"}),
    ("c.avi", "mjpeg", {}),
    ("d.avi", "mpeg4", {"g": "10"}),
    ("e.avi", "mpeg4", {"g": "12", "bf": "2"}),
    ("f.mkv", "mpeg4", {"g": "300"}),
    ("g.mov", "mpeg4", {"g": "1"}),
    ("j.wmv", "wmv2", {"g": "12"}),
    ("k.mov", "libx264", {"g": "20", "bf": "2"}),
    ("l.gif", "gif", {}),
    ("m.mpg", "mpeg1video", {"g": "12"}),
    ("n.mpg", "mpeg1video", {"g": "15", "bf": "2"}),
    ("o.mpg", "mpeg2video", {"g": "12", "bf": "2"}),
    ("s.ts", "mpeg2video", {"g": "12", "bf": "2"}),
    ("t.ts", "libx264", {"g": "20", "bf": "3"}),
    ("u.m2ts", "libx264", {"g": "20", "bf": "3"}),
    ("v.mts", "libx264", {"g": "20"}),
    ("p.webm", "libvpx-vp9", {"g": "12"}),
    ("q.avi", "rawvideo", {}),
    ("r.avi", "msmpeg4", {"g": "12"}),
    ("h.mp4", "libx264", {"g": "20", "bf": "3"}),
    ("i.mkv", "libx264", {"g": "24", "bf": "3", "x264-params": "open-gop=1"}),
]


def _video(folder: Path, name: str, codec: str, options: dict[str, str], count: int = 60) -> Path:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV has no encoder {codec}")
    return video(folder / name, numbered_frames(count), codec, **options)


@pytest.mark.parametrize(("name", "codec", "options"), KINDS, ids=[f"{n}-{c}" for n, c, _ in KINDS])
def test_every_frame_is_the_one_asked_for_in_any_order(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    loop = open_loop(_video(tmp_path, name, codec, options))
    assert loop.shape == (60, 96, 128, 3)
    assert loop.reader == "video"
    assert [number_of(frame) for frame in loop] == list(range(60))
    loop.close()
    order = [*random.Random(1).sample(range(60), 25), 59, 0, 58, 57, 1, 30, 29, 28]
    assert [number_of(loop[k]) for k in order] == order
    assert loop.frame_time_s == pytest.approx(0.04, rel=0.01)
    assert loop.calibration is None


def test_backward_steps_do_not_decode_from_the_start_each_time(tmp_path: Path) -> None:
    loop = open_loop(_video(tmp_path, "a.mp4", "mpeg4", {"g": "300"}, count=120))
    loop[119]
    decoded = 0
    as_rgb = loop._as_rgb

    def counting(frame: av.VideoFrame) -> np.ndarray:
        nonlocal decoded
        decoded += 1
        return as_rgb(frame)

    loop._as_rgb = counting  # type: ignore[method-assign]
    assert [number_of(loop[k]) for k in range(118, 94, -1)] == list(range(118, 94, -1))
    assert decoded <= 3 * 13


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_flag(tmp_path: Path, degrees: int) -> None:
    frames = np.zeros((5, 96, 128, 3), np.uint8)
    frames[:, :30, :40] = 250  # the upper left corner of the stored picture
    path = video(tmp_path / "a.mp4", frames, "mpeg4")
    turn_mp4(path, degrees)
    loop = open_loop(path)
    assert (loop.height, loop.width) == ((96, 128) if degrees % 180 == 0 else (128, 96))
    bright = loop[3][..., 0] > 128
    corners = [bright[5, 5], bright[5, -5], bright[-5, -5], bright[-5, 5]]  # clockwise from the upper left
    assert corners.index(True) == degrees // 90
    assert sum(corners) == 1


@pytest.mark.parametrize(("degrees", "aspect"), [(0, 4 / 3), (90, 3 / 4), (180, 4 / 3), (270, 3 / 4)])
def test_pixels_that_are_not_square_keep_their_shape_when_turned(tmp_path: Path, degrees: int, aspect: float) -> None:
    path = video(tmp_path / "a.mp4", numbered_frames(3), "mpeg4", aspect=Fraction(4, 3))
    turn_mp4(path, degrees)
    assert open_loop(path).pixel_aspect == pytest.approx(aspect)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mpeg4"), ("a.avi", "mjpeg"), ("a.gif", "gif"), ("a.avi", "rawvideo")]
)
def test_pixels_of_which_the_file_says_nothing_are_square(tmp_path: Path, name: str, codec: str) -> None:
    assert open_loop(_video(tmp_path, name, codec, {}, count=3)).pixel_aspect == 1


def test_uneven_timestamps_give_no_frame_time(tmp_path: Path) -> None:
    times = [0, 40, 80, 200, 240, 280, 320, 500]
    loop = open_loop(video(tmp_path / "a.mkv", numbered_frames(8), "mpeg4", 1000, times))
    assert [number_of(frame) for frame in loop] == list(range(8))
    assert loop.frame_time_s is None
    assert loop.frame_time_source == "timestamps"
    assert loop.frame_times_s == pytest.approx([time / 1000 for time in times], abs=0.001)


def test_coarse_ticks_still_count_as_even(tmp_path: Path) -> None:
    loop = open_loop(video(tmp_path / "a.mkv", numbered_frames(31), "mpeg4", Fraction(30000, 1001)))
    assert loop.frame_time_s == pytest.approx(1001 / 30000, rel=0.01)
    assert loop.frame_time_source == "timestamps"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "mpeg4"),
        ("a.avi", "mjpeg"),
        ("a.avi", "mpeg4"),
        ("a.mkv", "mpeg4"),
        ("a.gif", "gif"),
        ("a.wmv", "wmv2"),
    ],
)
def test_a_cut_video_does_not_pass_for_a_shorter_one(tmp_path: Path, name: str, codec: str) -> None:
    path = _video(tmp_path, name, codec, {}, count=40)
    assert len(open_loop(path)) == 40
    data = path.read_bytes()
    for share in (0.3, 0.6, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(TruncatedLoopError, match=name):
            open_loop(path)


def test_a_playlist_under_the_name_of_a_video_opens_nothing_else(tmp_path: Path) -> None:
    inner = _video(tmp_path, "inner.mp4", "mpeg4", {})
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {inner.name}\n")
    (tmp_path / "hls.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{inner.name}\n#EXT-X-ENDLIST\n")
    for name in ("list.mp4", "hls.mp4"):
        with pytest.raises(M2DinoError, match=name):
            open_loop(tmp_path / name)


def test_program_text_is_no_transport_stream(tmp_path: Path) -> None:
    (tmp_path / "app.ts").write_text("export const answer = 42;")
    with pytest.raises(M2DinoError, match=r"app\.ts is not a loop"):
        open_loop(tmp_path / "app.ts")
    moving = video(tmp_path / "a.m2ts", numbered_frames(3), "mpeg2video")
    assert moving.read_bytes()[4::192][:3] == b"GGG", "packets of 192 bytes"
    assert len(open_loop(tmp_path)) == 3, "beside it, a folder opens"
